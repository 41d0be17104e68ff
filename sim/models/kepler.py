"""Kepler's problem: a body in the plane, drawn to the origin by gravity."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from sim.models.arguments import as_named_tuple
from sim.models.model import Model, Quantity


class Params(NamedTuple):
    """The gravitational parameter μ = G M (m³ s⁻²)."""

    mu: Any = 1.0


class State(NamedTuple):
    """Position (m) and velocity (m s⁻¹), each of shape (2,)."""

    position: Any
    velocity: Any


def kepler(params: Params, t, y: State, u=None) -> State:
    """r̈ = −μ r / |r|³

    Args:
        params: the gravitational parameter μ.
        t: time, unused.
        y: r and ṙ, of shape (2,).
        u: unused; the system has no input.

    Returns:
        The derivatives of the state.

    Reference: E. Hairer, Ch. Lubich and G. Wanner, "Geometric Numerical Integration",
    2nd ed., Springer 2006, section I.2.

    >>> import jax.numpy as jnp
    >>> kepler(Params(), 0.0, State(jnp.array([2.0, 0.0]), jnp.zeros(2))).velocity
    Array([-0.25, -0.  ], dtype=float64)
    """
    squared = jnp.sum(y.position * y.position, axis=-1, keepdims=True)
    return State(y.velocity, -params.mu / (squared * jnp.sqrt(squared)) * y.position)


def energy(params: Params, y: State):
    """H = ½ |ṙ|² − μ / |r|, in J kg⁻¹, along the last axis of the state.

    >>> import jax.numpy as jnp
    >>> float(energy(Params(), State(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]))))
    -0.5
    """
    kinetic = 0.5 * jnp.sum(y.velocity * y.velocity, axis=-1)
    return kinetic - params.mu / jnp.sqrt(jnp.sum(y.position * y.position, axis=-1))


def angular_momentum(y: State):
    """L = r₁ ṙ₂ − r₂ ṙ₁, in m² s⁻¹, along the last axis of the state.

    >>> import jax.numpy as jnp
    >>> float(angular_momentum(State(jnp.array([2.0, 0.0]), jnp.array([0.0, 1.0]))))
    2.0
    """
    q, v = y
    return q[..., 0] * v[..., 1] - q[..., 1] * v[..., 0]


def model(
    params: Params = Params(), initial: State = State(position=(0.4, 0.0), velocity=(0.0, 2.0))
) -> Model:
    """Kepler's problem as a model, autonomous.

    The default starts at the pericentre of the ellipse with eccentricity 0.6 and
    semi-major axis 1, whose period is 2π.

    Raises:
        ValueError: params or initial is of another type, or a field has another shape.

    >>> model().initial.position.tolist()
    [0.4, 0.0]
    """
    return Model(
        name="kepler",
        field=Partial(kepler, as_named_tuple("params", params, Params)),
        initial=as_named_tuple("initial", initial, State, position=((2,),), velocity=((2,),)),
        quantities={
            "position": Quantity("m", "position relative to the attracting body"),
            "velocity": Quantity("m s-1", "velocity"),
        },
        units={"mu": "m3 s-2"},
    )
