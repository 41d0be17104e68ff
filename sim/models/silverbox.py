"""The Silverbox: an electronic circuit that is nearly a Duffing oscillator."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from sim.models.arguments import as_named_tuple
from sim.models.model import Model, Quantity

# Over this range (V) the step of the spring is smoothed: too narrow for the records to see.
_EDGE = 1e-3


class Params(NamedTuple):
    """Coefficients of the circuit, with position and input in volts.

    Attributes:
        gain: g, of the input (s⁻²).
        offset: o (V s⁻²).
        damping: c (s⁻¹).
        stiffness, quadratic, cubic: k₁ (s⁻²), k₂ (V⁻¹ s⁻²), k₃ (V⁻² s⁻²).
        inertia: κ, by which stiffness grows with the square of the velocity (V⁻²).
        step, centre, width: of the force at zero velocity: its height d (V s⁻²), the
            velocity v₀ where it stands and the range w that it takes (V s⁻¹).
        edge: e, the height of the step of the spring at zero position (V s⁻²).
    """

    # Least squares of the simulation error on the benchmark's training record.
    gain: Any = 1.8698e5
    offset: Any = -1015.0
    damping: Any = 41.3
    stiffness: Any = 1.8488e5
    quadratic: Any = -6450.0
    cubic: Any = 7.48e5
    inertia: Any = 0.35
    step: Any = -34.0
    centre: Any = -5.0
    width: Any = 15.0
    edge: Any = -5.5


class State(NamedTuple):
    """Position (V) and velocity (V s⁻¹)."""

    position: Any
    velocity: Any


def silverbox(params: Params, t, y: State, u=None) -> State:
    """ẍ = g u + o − c ẋ − (k₁ + k₂ x + k₃ x² + κ ẋ²) x − d σ((ẋ − v₀)/w) − e σ(x/ε),
    σ(r) = r / √(1 + r²)

    A Duffing oscillator, and what an amplifier adds to it: steps where a signal changes
    its sign (crossover distortion), which pass as less damping of small oscillations.

    Args:
        params: the coefficients.
        t: time, unused.
        y: x and ẋ, scalars.
        u: the input in V, a scalar; None is no input.

    Returns:
        The derivatives of the state.

    Reference: T. Wigren and J. Schoukens, "Three free data sets for development and
    benchmarking in nonlinear system identification", European Control Conference 2013.

    >>> dy = silverbox(Params(), 0.0, State(0.1, 0.0), 0.0)
    >>> float(dy.position), -20300 < float(dy.velocity) < -20100
    (0.0, True)
    """
    p = params
    x, v = y
    force = p.offset if u is None else p.gain * u + p.offset
    stiffness = p.stiffness + p.quadratic * x + p.cubic * x * x + p.inertia * v * v
    steps = p.step * _step((v - p.centre) / p.width) + p.edge * _step(x / _EDGE)
    return State(v, force - p.damping * v - stiffness * x - steps)


def _step(r):
    return r / jnp.sqrt(1.0 + r * r)


def model(params: Params = Params(), initial: State = State(0.0, 0.0)) -> Model:
    """The Silverbox as a model; the input is its voltage.

    Raises:
        ValueError: params or initial is of another type, or a field is not a number.

    >>> model().inputs
    ('voltage',)
    """
    return Model(
        name="silverbox",
        field=Partial(silverbox, as_named_tuple("params", params, Params)),
        initial=as_named_tuple("initial", initial, State),
        quantities={
            "position": Quantity("V", "output voltage, the position"),
            "velocity": Quantity("V s-1", "rate of the output voltage"),
            "voltage": Quantity("V", "input voltage"),
        },
        inputs=("voltage",),
        units={
            "gain": "s-2",
            "offset": "V s-2",
            "damping": "s-1",
            "stiffness": "s-2",
            "quadratic": "V-1 s-2",
            "cubic": "V-2 s-2",
            "inertia": "V-2",
            "step": "V s-2",
            "centre": "V s-1",
            "width": "V s-1",
            "edge": "V s-2",
        },
    )
