"""The electro-mechanical positioning system: a carriage on a screw, with asymmetric friction."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from sim.models.arguments import as_named_tuple
from sim.models.model import Model, Quantity

# Over this range of velocities (m s⁻¹) dry friction changes its sign.
_CREEP = 1e-3


class Params(NamedTuple):
    """The carriage and its friction, in either direction.

    Attributes:
        mass: M, of all moving parts, reduced to the carriage (kg).
        viscous_forward, viscous_backward: F_v (N s m⁻¹).
        dry_forward, dry_backward: F_c (N).
        drift: d, by which a constant force against the motion forward grows (N s⁻¹).
        drive: g, the force of the motor for each volt (N V⁻¹).
    """

    # Least squares of the simulation error on the benchmark's training record, from the
    # state of its first samples; the drive is the published one.
    mass: Any = 91.58
    viscous_forward: Any = 154.4
    viscous_backward: Any = 229.3
    dry_forward: Any = 21.86
    dry_backward: Any = 21.75
    drift: Any = -0.02236
    drive: Any = 35.15065


class State(NamedTuple):
    """Position (m) and velocity (m s⁻¹) of the carriage."""

    position: Any
    velocity: Any


def emps(params: Params, t, y: State, u=None) -> State:
    """M ẍ = g u − p(ẋ) (F_v⁺ ẋ + F_c⁺) − (1 − p(ẋ)) (F_v⁻ ẋ − F_c⁻) − d t,
    p = ½ (1 + ẋ / √(ẋ² + ε²))

    Dry friction passes smoothly through zero within ε = 1 mm/s, so that the field has
    slopes everywhere: steps of 1 ms follow it.

    Args:
        params: mass, friction forward and backward, drift, drive.
        t: time since the drive was at rest, s.
        y: x and ẋ, scalars.
        u: voltage of the motor in V, a scalar; None is no voltage.

    Returns:
        The derivatives of the state.

    Reference: A. Janot, M. Gautier and M. Brunot, "Data set and reference models of
    EMPS", Workshop on Nonlinear System Identification Benchmarks, Eindhoven 2019.

    >>> dy = emps(Params(), 0.0, State(0.0, 0.1), 1.0)
    >>> round(float(dy.velocity), 3)
    -0.023
    """
    p = params
    x, v = y
    forward = 0.5 * (1.0 + v / jnp.sqrt(v * v + _CREEP * _CREEP))
    friction = forward * (p.viscous_forward * v + p.dry_forward)
    friction = friction + (1.0 - forward) * (p.viscous_backward * v - p.dry_backward)
    force = -(friction + p.drift * t)
    force = force if u is None else p.drive * u + force
    return State(v, force / p.mass)


def model(params: Params = Params(), initial: State = State(0.0, 0.0)) -> Model:
    """The positioning system as a model; the input is the voltage of its motor.

    Raises:
        ValueError: params or initial is of another type, or a field is not a number.

    >>> model(Params(mass=100)).initial
    State(position=0.0, velocity=0.0)
    """
    return Model(
        name="emps",
        field=Partial(emps, as_named_tuple("params", params, Params)),
        initial=as_named_tuple("initial", initial, State),
        quantities={
            "position": Quantity("m", "position of the carriage"),
            "velocity": Quantity("m s-1", "velocity of the carriage"),
            "voltage": Quantity("V", "voltage of the motor"),
        },
        inputs=("voltage",),
        units={
            "mass": "kg",
            "viscous_forward": "N s m-1",
            "viscous_backward": "N s m-1",
            "dry_forward": "N",
            "dry_backward": "N",
            "drift": "N s-1",
            "drive": "N V-1",
        },
    )
