"""The cascaded tanks: balances of water, overflow, and the published training record."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from integrators import rk4
from sim import rollout
from sim.inputs import zero_order_hold
from sim.models import cascaded_tanks

TANKS = cascaded_tanks.Params(0.0669, 0.0472, 0.065, 0.636, 21.67, 10.0, 1.5, 3.0, 0.8, 0.05)


def head(x):
    """Of a reading not close to the knee."""
    return x + TANKS.datum - TANKS.compression * np.maximum(TANKS.knee - x, 0.0)


def lower_outflow(x):
    return TANKS.lower * np.sqrt(head(x))


def lower_level(flow):
    """The reading, above the knee, whose outflow is the given flow."""
    return (flow / TANKS.lower) ** 2 - TANKS.datum


@jax.jit
def fill(u, params=TANKS, start=5.0):
    """The levels during 4000 s of one pump voltage."""
    stepper = rk4(Partial(cascaded_tanks.cascaded_tanks, params), 2.0)
    start = cascaded_tanks.State(start, start, start)
    return rollout(stepper.step, stepper.init(start), jnp.full(2000, u))[1]


def test_tanks_settle_where_inflow_is_outflow():
    ys = fill(2.5)
    inflow = TANKS.pump * 2.5
    expected = [(inflow / TANKS.upper) ** 2, lower_level(inflow)]
    np.testing.assert_allclose([ys.upper[-1], ys.lower[-1]], expected, rtol=1e-9)


def test_water_is_conserved_below_the_rims():
    low, high = [[1.0], [1.5], [0.0]], [[20.0], [9.0], [6.0]]
    x1, x2, u = jnp.asarray(np.random.default_rng(0).uniform(low, high, (3, 40)))
    x2 = jnp.where(jnp.abs(x2 - TANKS.knee) > 1.0, x2, 9.0)
    dy = cascaded_tanks.cascaded_tanks(TANKS, 0.0, cascaded_tanks.State(x1, x2, x2), u)
    volume = dy.lower * jnp.where(x2 < TANKS.knee, 1.0 + TANKS.compression, 1.0)
    kept = TANKS.pump * u - lower_outflow(x2)
    np.testing.assert_allclose(dy.upper + volume, kept, atol=1e-5)  # a level 1 V from the knee
    assert (x2 < TANKS.knee).any()


def test_the_head_is_the_volume_the_reading_stands_for():
    """The slope of h, from an outflow, is what a change of the reading is divided by."""

    def rate(x2, u=0.0):
        return cascaded_tanks.cascaded_tanks(TANKS, 0.0, cascaded_tanks.State(4.0, x2, x2), u).lower

    through = TANKS.upper * 2.0
    readings = jnp.linspace(2.7, 3.3, 7)

    def h(x2):  # of the outflow (k₁ √x₁ − ẋ₂ h′) = k₂ √h, with h′ by differences
        slope = 1.0 + TANKS.compression / (1.0 + jnp.exp((x2 - TANKS.knee) / 0.1))
        return ((through - rate(x2) * slope) / TANKS.lower) ** 2, slope

    _, slope = h(readings)
    np.testing.assert_allclose(jax.vmap(jax.grad(lambda x: h(x)[0]))(readings), slope, rtol=1e-9)


def test_a_full_upper_tank_passes_on_what_it_gains():
    inflow, through = TANKS.pump * 6.0, TANKS.upper * np.sqrt(TANKS.upper_top)
    y = cascaded_tanks.State(TANKS.upper_top, 9.0, 9.0)
    dy = cascaded_tanks.cascaded_tanks(TANKS, 0.0, y, 6.0)
    assert float(dy.upper) == 0.0
    into = through + TANKS.share * (inflow - through)
    assert float(dy.lower) == pytest.approx(into - lower_outflow(9.0), abs=1e-14)


def test_levels_stop_at_the_top():
    ys = fill(6.0)
    for levels, top in ((ys.upper, TANKS.upper_top), (ys.lower, TANKS.lower_top)):
        assert top - 0.02 < float(levels[-1]) <= float(jnp.max(levels)) <= top
    nothing_falls_in = fill(6.0, TANKS._replace(share=0.0))
    through = TANKS.upper * np.sqrt(nothing_falls_in.upper[-1])
    assert float(nothing_falls_in.lower[-1]) == pytest.approx(lower_level(through), rel=1e-4)


def test_full_tanks_drain_when_the_pump_stops():
    full = cascaded_tanks.State(TANKS.upper_top, TANKS.lower_top, TANKS.lower_top)
    dy = cascaded_tanks.cascaded_tanks(TANKS._replace(upper=0.04), 0.0, full)
    assert float(dy.upper) == -0.04 * np.sqrt(TANKS.upper_top)
    expected = 0.04 * np.sqrt(TANKS.upper_top) - lower_outflow(TANKS.lower_top)
    assert float(dy.lower) == pytest.approx(expected, abs=1e-14)


def test_tanks_run_dry_with_finite_gradients():
    def last(params, start):
        ys = fill(0.0, params, start)
        return ys.upper[-1] + ys.lower[-1]

    value, grads = jax.value_and_grad(last, argnums=(0, 1))(TANKS, 1.0)
    dry = TANKS.knee - (TANKS.knee + TANKS.datum) / (1 + TANKS.compression)  # where h is 0
    assert float(value) == pytest.approx(dry, abs=1e-4)
    assert all(np.isfinite(g) for g in jax.tree.leaves(grads))
    at_zero = jax.jacfwd(cascaded_tanks.cascaded_tanks, argnums=2)(
        TANKS, 0.0, cascaded_tanks.State(0.0, 0.0, 0.0), 0.0
    )
    assert all(np.isfinite(g) for g in jax.tree.leaves(at_zero))


def test_the_reading_follows_where_the_level_leaves_its_play():
    ys = fill(2.5)
    apart = np.abs(ys.lower - ys.reading)
    fastest = np.abs(np.diff(ys.lower, prepend=5.0)).max() / 2.0  # V/s
    assert TANKS.play < apart.max() < TANKS.play + 2.0 * fastest
    for reading, rate in ((5.0 - 0.9 * TANKS.play, 0.0), (5.0 + 3 * TANKS.play, -TANKS.play)):
        y = cascaded_tanks.State(5.0, 5.0, reading)
        got = cascaded_tanks.cascaded_tanks(TANKS, 0.0, y, 1.0).reading
        assert float(got) == pytest.approx(rate, abs=1e-12)  # 2 w within 2 s


def test_default_tanks_follow_the_training_record(shared):
    t, u, y = np.loadtxt(shared / "data/cascaded_tanks_train.csv", delimiter=",", skiprows=1).T
    model = cascaded_tanks.model()
    stepper = rk4(model.field, 4.0)
    _, ys = rollout(stepper.step, stepper.init(model.initial), zero_order_hold(t, u))
    error = np.append(model.initial.reading, ys.reading) - y
    assert np.sqrt(np.mean(error**2)) < 0.102
