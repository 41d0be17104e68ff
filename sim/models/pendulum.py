"""The pendulum, damped and driven by a torque."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from sim.models.arguments import as_named_tuple
from sim.models.model import Model, Quantity


class Params(NamedTuple):
    """Length (m), gravity (m s⁻²), mass (kg) and damping (N m s)."""

    length: Any = 1.0
    gravity: Any = 9.81
    mass: Any = 1.0
    damping: Any = 0.1


class State(NamedTuple):
    """Angle from hanging straight down (rad) and its rate (rad s⁻¹)."""

    angle: Any
    angular_velocity: Any


def pendulum(params: Params, t, y: State, u=None) -> State:
    """m l² θ̈ = −m g l sin θ − c θ̇ + τ

    Args:
        params: length l, gravity g, mass m and damping c.
        t: time, unused.
        y: θ and θ̇, scalars.
        u: the torque τ in N m, a scalar; None is no torque.

    Returns:
        The derivatives of the state.

    Reference: S. H. Strogatz, "Nonlinear Dynamics and Chaos", 2nd ed., Westview 2015,
    section 6.7.

    >>> pendulum(Params(length=2.0, damping=0.0), 0.0, State(0.0, 0.3), 8.0)
    State(angle=0.3, angular_velocity=Array(2., dtype=float64, weak_type=True))
    """
    length, gravity, mass, damping = params
    torque = 0.0 if u is None else u
    acceleration = (torque - damping * y.angular_velocity) / (mass * length * length)
    return State(y.angular_velocity, acceleration - gravity / length * jnp.sin(y.angle))


def energy(params: Params, y: State):
    """E = ½ m l² θ̇² + m g l (1 − cos θ), in J, zero at rest; kept without damping and torque.

    >>> float(energy(Params(), State(0.0, 2.0)))
    2.0
    """
    length, gravity, mass, _ = params
    kinetic = 0.5 * mass * (length * y.angular_velocity) ** 2
    return kinetic + mass * gravity * length * (1.0 - jnp.cos(y.angle))


def model(params: Params = Params(), initial: State = State(1.0, 0.0)) -> Model:
    """The pendulum as a model; the input is the torque.

    Raises:
        ValueError: params or initial is of another type, or a field is not a number.

    >>> model(initial=State(0.5, 0)).initial
    State(angle=0.5, angular_velocity=0.0)
    """
    return Model(
        name="pendulum",
        field=Partial(pendulum, as_named_tuple("params", params, Params)),
        initial=as_named_tuple("initial", initial, State),
        quantities={
            "angle": Quantity("rad", "angle from hanging straight down"),
            "angular_velocity": Quantity("rad s-1", "angular velocity"),
            "torque": Quantity("N m", "torque at the pivot"),
        },
        inputs=("torque",),
        units={"length": "m", "gravity": "m s-2", "mass": "kg", "damping": "N m s"},
    )
