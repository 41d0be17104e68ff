"""Multiple shooting: where one simulation cannot be fitted, segments can."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from integrators import rk4
from sim import Stepper, rollout
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.linearisation import linearise
from sim.fit.problem.losses import residual_vector
from sim.fit.problem.objectives import Prediction, Simulation
from sim.fit.search.fit import fit
from sim.fit.search.multiple_shooting import shoot
from sim.fit.search.segments import build_segments, state_gaps
from sim.models.lorenz import Params, State, lorenz
from sim.records.experiment import Experiment


def chaos(p):
    return rk4(jax.tree_util.Partial(lorenz, p), 0.02)


LORENZ = Simulation(chaos, lambda p, y, u: y.x[None])
FIRST = State(1.0, 1.0, 20.0)


def growth(p):
    """s' = s + h (a s (1 − s) + b u): a record of s itself."""
    return Stepper(jnp.asarray, lambda s, u: 2 * (s + 0.1 * (p["a"] * s * (1 - s) + p["b"] * u),))


GROWTH, TRUTH = Simulation(growth), {"a": 1.5, "b": 0.5}


def record(steps, s0, seed, gaps=True, y0=True):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=steps)
    y, s = np.zeros((steps, 1)), s0
    for k, now in enumerate(u):
        y[k] = s = s + 0.1 * (TRUTH["a"] * s * (1 - s) + TRUTH["b"] * now)
    y += 0.01 * rng.normal(size=y.shape)
    if gaps:
        y[rng.integers(0, steps, steps // 8)] = np.nan
    return Experiment(jnp.asarray(u), jnp.asarray(y), jnp.array([s0]) if y0 else None)


RECORDS = [record(41, 0.3, 0), record(23, 0.8, 1), record(30, 0.5, 2, y0=False)]
START = {"a": 0.8, "b": 1.0}


def test_chaos_that_one_simulation_cannot_fit():
    start, noise = Params(8.0, 22.0, 2.0), 0.2
    truth = chaos(Params())
    x = rollout(truth.step, truth.init(jax.tree.map(jnp.asarray, FIRST)), length=400)[1].x
    e = Experiment(None, x[:, None] + noise * np.random.default_rng(1).normal(size=(400, 1)))
    stuck = fit(LORENZ, start, e, states=FIRST, steps=60)
    found = shoot(LORENZ, start, e, 20, states=FIRST, between=lambda y: State(y[0], y[0], 25.0))
    error = np.array(found.params) - np.array(Params())
    assert stuck.noise[0] > 20 * noise
    assert 0.9 * noise < found.noise[0] < 1.1 * noise
    assert (np.abs(error) < 3 * found.uncertainty.standard_error[:3]).all()
    assert np.abs(error).max() < 0.2
    assert len(found.states) == 1 and "as one simulation converged" in found.message


def test_a_constraint_ends_where_one_simulation_does():
    """Records of unequal lengths that no segment divides, with gaps, with and without y0."""
    whole = fit(GROWTH, START, RECORDS, states=0.5)
    found = shoot(GROWTH, START, RECORDS, 6, states=0.5)
    np.testing.assert_allclose(found.uncertainty.value, whole.uncertainty.value, rtol=1e-6)
    np.testing.assert_allclose(
        found.uncertainty.standard_error, whole.uncertainty.standard_error, rtol=1e-4
    )
    assert found.uncertainty.names == whole.uncertainty.names

    heavy = shoot(GROWTH, START, RECORDS, 6, states=0.5, weight=1e3)
    error = heavy.uncertainty.value[:2] - whole.uncertainty.value[:2]
    assert (np.abs(error) < 0.01 * whole.uncertainty.standard_error[:2]).all()
    np.testing.assert_allclose(
        heavy.uncertainty.standard_error[:2], whole.uncertainty.standard_error[:2], rtol=1e-3
    )
    np.testing.assert_allclose(heavy.states, whole.states, rtol=1e-3)
    light = shoot(GROWTH, START, RECORDS, 6, states=0.5, weight=0.1)
    assert light.loss[-1] < heavy.loss[-1] and "weight 0.1" in light.message


def test_the_triangle_of_joined_segments_is_that_of_differences():
    whole, z = build_problem(GROWTH, START, RECORDS, None, 0.5)
    problem, z, first = build_segments(whole, z, START, None, 6, None)
    assert first == [0, 6, 10] and len(problem.order) == 15
    problem = problem.with_weights(join=jnp.array([7.0]))
    z = z + 0.1 * np.random.default_rng(3).normal(size=z.shape)

    @jax.jit
    def everything(z):
        return jnp.concatenate(
            [residual_vector(problem, z), *(7 * gap.ravel() for gap in state_gaps(problem, z))]
        )

    h = 1e-6
    sides = [(everything(z + d) - everything(z - d)) / (2 * h) for d in h * np.eye(len(z))]
    J, r, found = np.stack(sides, axis=1), np.asarray(everything(z)), linearise(problem, z)
    np.testing.assert_allclose(found.loss, 0.5 * r @ r, rtol=1e-12)
    np.testing.assert_allclose(found.R.T @ found.R, J.T @ J, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.R.T @ found.q, J.T @ r, rtol=1e-6, atol=1e-6)
    assert problem.unknowns == 2 + 3


def test_segments_begin_at_given_states():
    whole, z = build_problem(GROWTH, START, RECORDS, None, 0.5)
    own = [np.arange(len(e.y)) / 100 for e in RECORDS]
    starts = build_segments(whole, z, START, None, 6, own)[0].initial_states[0]
    assert starts.tolist() == [0.5, 0.06, 0.13, 0.20, 0.27, 0.34, 0.5, 0.06, 0.13, 0.20]
    # A function of the outputs takes the last that were seen.
    starts = build_segments(whole, z, START, None, 6, lambda y: y[0])[0].initial_states[0]
    y = np.asarray(RECORDS[0].y[:, 0])
    last = [y[:k][np.isfinite(y[:k])][-1] for k in range(7, 41, 7)]
    assert starts[1:6].tolist() == last


@pytest.mark.parametrize(
    "change, words",
    [
        ({"segments": 42}, "segments: expected an integer from 1 to the 41 steps"),
        ({"weight": 0.0}, "weight: expected a number above 0"),
        ({"states": None}, "states: expected an initial state to shoot from, got None"),
        ({"objective": Prediction(growth)}, "objective: expected a simulation"),
        ({"between": [0.0]}, "between: expected states for each of 3 experiments, got 1"),
        ({"start": {"a": -1e9, "b": 1.0}}, "start: .* finite, got a run that div"),
    ],
)
def test_mistakes_are_named(change, words):
    given = {
        "objective": GROWTH,
        "start": START,
        "experiments": RECORDS,
        "segments": 6,
        "states": 0.5,
    } | change
    with pytest.raises(ValueError, match=words):
        shoot(**given)
