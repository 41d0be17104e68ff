"""A chain of masses between two walls, joined by springs and dampers."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from sim.check import positive
from sim.models.arguments import as_named_tuple
from sim.models.model import Model, Quantity


class Params(NamedTuple):
    """Mass (kg), damping (N s m⁻¹), stiffness (N m⁻¹), and where the force acts.

    Attributes:
        mass: of all masses, or (n,).
        damping: of all dampers, or (n + 1,): link i joins mass i − 1 and mass i, and
            the first and the last link a wall. A last link of zero damping and
            stiffness is a chain with a free end.
        stiffness: of all springs, or (n + 1,).
        drive: (n,), the share of the input force on each mass; None puts all of it on
            the last.
    """

    mass: Any = 1.0
    damping: Any = 0.1
    stiffness: Any = 1.0
    drive: Any = None


class State(NamedTuple):
    """Displacements from rest (m) and velocities (m s⁻¹), each of shape (n,)."""

    position: Any
    velocity: Any


def chain(params: Params, t, y: State, u=None) -> State:
    """mᵢ ẍᵢ = sᵢ₊₁ − sᵢ + dᵢ F,   sᵢ = kᵢ (xᵢ − xᵢ₋₁) + cᵢ (ẋᵢ − ẋᵢ₋₁),   x₋₁ = xₙ = 0

    for the masses i = 0, …, n − 1 and the links i = 0, …, n.

    Args:
        params: masses m, dampings c, stiffnesses k and the drive d.
        t: time, unused.
        y: x and ẋ, of shape (n,).
        u: the force F in N, a scalar; None is no force.

    Returns:
        The derivatives of the state.

    Reference: L. Meirovitch, "Fundamentals of Vibrations", McGraw-Hill 2001, chapter 7.

    >>> import jax.numpy as jnp
    >>> y = State(jnp.array([1.0, 0.0, 0.0]), jnp.zeros(3))
    >>> chain(Params(), 0.0, y, 0.5).velocity.tolist()
    [-2.0, 1.0, 0.5]
    """
    # Arrays given in float64 must not promote a float32 state.
    mass, damping, stiffness = (jnp.asarray(p, y.position.dtype) for p in params[:3])
    lightness = 1 / mass  # leaves the loop, as does all that is made of parameters alone
    # The barriers keep XLA from computing a mass's neighbours again for each mass, and
    # again in every later stage of a Runge-Kutta step: measured 2 to 3 times slower.
    if mass.ndim == stiffness.ndim == damping.ndim == 0:
        pull = stiffness * lightness * y.position + damping * lightness * y.velocity
        pull = lax.optimization_barrier(jnp.pad(pull, 1))
        acceleration = pull[2:] - 2 * pull[1:-1] + pull[:-2]
    else:
        tension = stiffness * _stretch(y.position) + damping * _stretch(y.velocity)
        acceleration = jnp.diff(lax.optimization_barrier(tension)) * lightness
    if u is not None:
        acceleration = acceleration + u * _drive(params, y.position) * lightness
    return State(y.velocity, acceleration)


def energy(params: Params, y: State):
    """E = ½ Σ mᵢ ẋᵢ² + ½ Σ kᵢ (xᵢ − xᵢ₋₁)², in J; kept without damping and force.

    >>> import jax.numpy as jnp
    >>> float(energy(Params(), State(jnp.array([1.0, 0.0]), jnp.zeros(2))))
    1.0
    """
    kinetic = jnp.sum(params.mass * y.velocity**2)
    return 0.5 * (kinetic + jnp.sum(params.stiffness * _stretch(y.position) ** 2))


def _stretch(x):
    """The extension of each of the n + 1 links; the walls stand still."""
    return jnp.diff(jnp.pad(x, 1))


def _drive(params, x):
    if params.drive is None:
        return (jnp.arange(len(x)) == len(x) - 1).astype(x.dtype)
    return jnp.asarray(params.drive, x.dtype)


def model(n: int = 4, params: Params = Params(), initial: State | None = None) -> Model:
    """A chain of n masses as a model; the input is the force.

    Args:
        n: the number of masses, at least 1.
        params: scalars for a uniform chain, or one number for each mass or link.
        initial: position and velocity, each (n,); by default all at rest, with the
            first mass displaced by 1 m.

    Raises:
        ValueError: n is not a positive integer, params or initial is of another
            type, or a field has another shape.

    >>> model(n=3).initial.position.tolist()
    [1.0, 0.0, 0.0]
    """
    n = positive("n", n)
    if initial is None:
        initial = State([1.0] + [0.0] * (n - 1), [0.0] * n)
    if isinstance(params, Params) and params.drive is None:
        params = params._replace(drive=[0.0] * (n - 1) + [1.0])
    params = as_named_tuple(
        "params",
        params,
        Params,
        mass=((), (n,)),
        damping=((), (n + 1,)),
        stiffness=((), (n + 1,)),
        drive=((n,),),
    )
    return Model(
        name="chain",
        field=Partial(chain, params),
        initial=as_named_tuple("initial", initial, State, position=((n,),), velocity=((n,),)),
        quantities={
            "position": Quantity("m", "displacement of each mass from rest"),
            "velocity": Quantity("m s-1", "velocity of each mass"),
            "force": Quantity("N", "external force"),
        },
        inputs=("force",),
        units={"mass": "kg", "damping": "N s m-1", "stiffness": "N m-1", "drive": "1"},
    )
