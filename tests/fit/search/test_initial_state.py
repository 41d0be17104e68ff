"""A test record from its input and first samples; inputs that say nothing."""

import jax.numpy as jnp
import numpy as np
import pytest

from integrators import rk4
from sim.fit.problem.free_run import free_run
from sim.fit.problem.objectives import Prediction, Simulation
from sim.fit.search.initial_state import initial_state
from sim.records.experiment import Experiment


def spring(p):
    return rk4(lambda t, y, u: jnp.stack([y[1], u - p["k"] * y[0] - 0.2 * y[1]]), 0.1)


SPRING = Simulation(spring, lambda p, y, u: y[:1])
U = jnp.asarray(np.random.default_rng(0).normal(size=60))
TRUTH = jnp.array([1.0, -2.0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("first", [True, False])
def test_the_state_from_the_first_samples_predicts_the_rest(dtype, first):
    p = {"k": dtype(3.0)}
    e = Experiment(U, jnp.zeros((60, 1)), jnp.zeros(1) if first else None)
    y = free_run(SPRING, p, TRUTH, e)
    assert y.shape == (60 + first, 1) and y.dtype == dtype
    assert not first or y[0, 0] == 1
    record = Experiment(U, y[first:].at[3].set(jnp.nan), y[0] if first else None)
    record = record._replace(y=record.y.at[15:].set(99.0))
    found = initial_state(SPRING, p, record, 15, jnp.zeros(2))
    tolerance = 1e-6 if dtype is np.float64 else 1e-3
    np.testing.assert_allclose(found, TRUTH, atol=tolerance)
    assert found.dtype == dtype
    np.testing.assert_allclose(free_run(SPRING, p, found, record), y, atol=2 * tolerance)


@pytest.mark.parametrize(
    "n, words", [(1, "samples of at least one step"), (62, "most 60, got 62"), (0, "n: expected")]
)
def test_samples_that_do_not_do_are_named(n, words):
    e = Experiment(U, jnp.ones((60, 1)), jnp.ones(1))
    with pytest.raises(ValueError, match=words):
        initial_state(SPRING, {"k": 3.0}, e, n, jnp.zeros(2))
    with pytest.raises(ValueError, match="as the 2 numbers of a state, got 1"):
        initial_state(SPRING, {"k": 3.0}, e._replace(y0=None), 1, jnp.zeros(2))


def test_an_output_may_be_missing_in_all_of_them():
    both = Simulation(spring, lambda p, y, u: y)
    e = Experiment(U, jnp.zeros((60, 2)))
    record = e._replace(y=free_run(both, {"k": 3.0}, TRUTH, e).at[:15, 1].set(jnp.nan))
    np.testing.assert_allclose(
        initial_state(both, {"k": 3.0}, record, 15, jnp.zeros(2)), TRUTH, atol=1e-6
    )
    with pytest.raises(ValueError, match="as the 2 numbers of a state, got 0"):
        initial_state(both, {"k": 3.0}, record._replace(y=record.y * jnp.nan), 15, jnp.zeros(2))


def test_a_filter_has_no_free_run():
    e = Experiment(U, jnp.ones((60, 1)))
    with pytest.raises(ValueError, match="objective: expected a simulation .*, got Prediction"):
        initial_state(Prediction(spring), {"k": 3.0}, e, 9, jnp.zeros(2))
    with pytest.raises(ValueError, match="objective: expected a simulation .*, got Prediction"):
        free_run(Prediction(spring), {"k": 3.0}, jnp.zeros(2), e)
