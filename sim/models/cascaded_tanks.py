"""Two tanks, one above the other, with overflow: the cascaded tanks benchmark."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim.models.arguments import as_named_tuple
from sim.models.model import Model, Quantity

# Below this level (V) an outflow falls to zero along a parabola instead of √x.
_SHALLOW = 0.1
# An overflow sets in over this last part (V) of a tank's height. A wider one fits the
# benchmark's training record worse; a narrower one no better, with many local minima.
_RIM = 0.3
# Over this range (V) the sensor of the lower tank changes its sensitivity at the knee.
_BEND = 0.1
# Time (s) in which the reading follows the level. A shorter one makes steps of 4 s unstable.
_LAG = 2.0


class Params(NamedTuple):
    """Gains, outflow coefficients, heights and the lower sensor, with levels in its volts.

    Attributes:
        pump: k, inflow for each volt of the pump (s⁻¹).
        upper: k₁, outflow coefficient of the upper tank (V^½ s⁻¹).
        lower: k₂, outflow coefficient of the lower tank (V^½ s⁻¹).
        share: s, the part of the upper tank's overflow that falls into the lower one.
        upper_top: the height of the upper tank (V).
        lower_top: the height of the lower tank, where its sensor saturates (V).
        datum: d, how far the lower tank's outlet lies below the sensor's zero (V).
        knee: b, the level below which the sensor is less sensitive (V).
        compression: c; below the knee a volt of reading stands for 1 + c volts of level.
        play: w, how far the level may be from the reading before that follows (V).
    """

    # Least squares of the simulation error on the benchmark's training record: RK4,
    # steps of 4 s, zero-order hold, initial levels fitted too; lower_top is read off.
    pump: Any = 0.0578
    upper: Any = 0.0524
    lower: Any = 0.0534
    share: Any = 0.679
    upper_top: Any = 13.96
    lower_top: Any = 10.0
    datum: Any = 3.864
    knee: Any = 4.192
    compression: Any = 1.122
    play: Any = 0.058


class State(NamedTuple):
    """Levels of the upper and the lower tank, and what the lower one's sensor reads (V)."""

    upper: Any
    lower: Any
    reading: Any


def cascaded_tanks(params: Params, t, y: State, u=None) -> State:
    """ẋ₁ = k u − k₁ √x₁ − o₁,  ẋ₂ = (k₁ √x₁ + s o₁ − k₂ √h) / h′ − o₂,
    h(x₂) = x₂ + d − c ε log(1 + e^((b − x₂)/ε)),  h′ = 1 + c / (1 + e^((x₂ − b)/ε)),
    τ ẋ₃ = z − clip(z, −w, w),  z = x₂ − x₃

    Both outflows follow Torricelli's law. x₂ is the lower level in volts of its sensor, and
    h the head over its outlet, which bends at the knee within ε = 0.1 V. The reading x₃
    follows where x₂ leaves its play, within τ = 2 s. The overflow oᵢ takes what a full tank
    gains: oᵢ = g(xᵢ) max(gain, 0), where g rises smoothly from 0 a little below the top to
    1 at the top. √x goes over into a parabola through 0 at shallow levels, so that its
    slope stays finite. Water is measured by the lower head, and conserved.

    Args:
        params: k, k₁, k₂, s, the two heights, d, b, c and w.
        t: time, unused.
        y: x₁, x₂ and x₃, scalars.
        u: the pump voltage in V, a scalar, not negative; None is a pump at rest.

    Returns:
        The derivatives of the state.

    Reference: M. Schoukens and J. P. Noël, "Three benchmarks addressing open
    challenges in nonlinear system identification", IFAC-PapersOnLine 50 (2017).

    >>> dy = cascaded_tanks(Params(), 0.0, State(4.0, 4.0, 4.0), 3.0)
    >>> round(float(dy.upper), 4), round(float(dy.lower), 4)
    (0.0686, -0.0216)
    """
    x1, x2, reading = y
    outflow = params.upper * _root(x1)
    gain = -outflow if u is None else params.pump * u - outflow
    overflow = _overflow(x1, params.upper_top, gain)
    below = (params.knee - x2) / _BEND
    head = x2 + params.datum - params.compression * _BEND * jax.nn.softplus(below)
    loss = params.lower * _root(jnp.maximum(head, 0.0))
    rate = 1.0 + params.compression * jax.nn.sigmoid(below)
    lower_gain = (outflow + params.share * overflow - loss) / rate
    lower_gain = lower_gain - _overflow(x2, params.lower_top, lower_gain)
    distance = x2 - reading
    follows = (distance - jnp.clip(distance, -params.play, params.play)) / _LAG
    return State(gain - overflow, lower_gain, follows)


def _root(x):
    """√x above the shallow level, and below it the parabola with the same value and slope."""
    deep = jnp.sqrt(jnp.maximum(x, _SHALLOW))
    shallow = x / math.sqrt(_SHALLOW) * (1.5 - 0.5 / _SHALLOW * x)
    return jnp.where(x > _SHALLOW, deep, shallow)


def _overflow(x, top, gain):
    full = jnp.clip(1.0 + (x - top) / _RIM, 0.0, 1.0)
    return full * full * (3.0 - 2.0 * full) * jnp.maximum(gain, 0.0)


def model(params: Params = Params(), initial: State = State(8.93, 5.28, 5.21)) -> Model:
    """The cascaded tanks as a model; the input is the pump voltage.

    The default starts at the levels fitted to the benchmark's training record.

    Raises:
        ValueError: params or initial is of another type, or a field is not a number.

    >>> model(initial=State(4, 5, 5)).initial
    State(upper=4.0, lower=5.0, reading=5.0)
    """
    return Model(
        name="cascaded_tanks",
        field=Partial(cascaded_tanks, as_named_tuple("params", params, Params)),
        initial=as_named_tuple("initial", initial, State),
        quantities={
            "upper": Quantity("V", "level of the upper tank"),
            "lower": Quantity("V", "level of the lower tank"),
            "reading": Quantity("V", "reading of the lower tank's sensor"),
            "pump_voltage": Quantity("V", "voltage of the pump"),
        },
        inputs=("pump_voltage",),
        units={
            "pump": "s-1",
            "upper": "V0.5 s-1",
            "lower": "V0.5 s-1",
            "share": "1",
            "upper_top": "V",
            "lower_top": "V",
            "datum": "V",
            "knee": "V",
            "compression": "1",
            "play": "V",
        },
    )
