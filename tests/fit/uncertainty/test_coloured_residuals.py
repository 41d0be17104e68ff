"""Coloured residuals: intervals by the formula for white noise, and by the right one."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.signal import lfilter

from sim import Stepper, rollout
from sim.fit import Experiment, Prediction, Simulation, bands, coloured, fit
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.linearisation import linearise
from sim.fit.result import Fit, SearchState
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.status import CONVERGED
from sim.fit.uncertainty.autoregression import Autoregression, autoregression
from sim.fit.uncertainty.coloured_residuals import _sandwich
from sim.fit.uncertainty.standard_errors import from_fisher_information

COUNT, TRUTH = 200, {"T": 1.5, "c": 2.0}


def lag(p):
    """s' = s + h (tanh(u) − s) / T, seen as c s: a parameter each of gain and pace."""
    return Stepper(jnp.asarray, lambda s, u: 2 * (s + 0.2 * (jnp.tanh(u) - s) / p["T"],))


LAG = Simulation(lag, lambda p, y, u: (p["c"] * y)[None])


def ar1(rng, *shape, pole=0.9):
    return lfilter([1.0], [1.0, -pole], rng.normal(size=(*shape, 400)), axis=-1)[..., 150:, None]


def test_intervals_cover_the_truth_under_coloured_noise():
    """Two records of 250 samples, a tenth of them missing, under noise of an AR(1), pole 0.9."""
    rng = np.random.default_rng(0)
    us = jnp.asarray(2 * rng.normal(size=(2, 250)))
    ys = 2 * np.array([rollout(lag(TRUTH).step, jnp.asarray(0.5), u)[1] for u in us])[..., None]
    ys[rng.random(ys.shape) < 0.1] = np.nan
    problem, z = build_problem(LAG, TRUTH, list(map(Experiment, us, ys)), None, 0.5)
    noise = 0.05 * ar1(rng, COUNT, 2)
    (group,) = problem.groups

    def replicated(noise):
        return replace(problem, groups=(group._replace(y=group.y + noise),))

    def further(search, noise):
        new = lm.propose(search)
        return lm.accept_or_reject(search, new, linearise(replicated(noise), new), 1e-9)

    searches = jax.jit(jax.vmap(lambda noise: lm.init(z, linearise(replicated(noise), z))))(noise)
    step = jax.jit(jax.vmap(further))
    for _ in range(10):
        searches = step(searches, noise)
    assert (np.asarray(searches.status) == CONVERGED).all()
    intervals = []
    for i in range(COUNT):
        search, one = jax.tree.map(lambda leaf, i=i: leaf[i], searches), replicated(noise[i])
        white = from_fisher_information(one, search.z, search.linearisation)
        result = Fit(None, None, None, None, white, "", SearchState(search, one.weights, 0), one)
        intervals.append((white.interval()[:2], coloured(result).interval()[:2]))
    low, high = np.moveaxis(np.array(intervals), 3, 0)
    white, with_memory = np.mean((low <= [1.5, 2.0]) & (high >= [1.5, 2.0]), axis=0)
    assert (white < 0.75).all() and (with_memory >= 0.90).all() and (with_memory <= 0.985).all(), (
        white,
        with_memory,
    )


def level(p):
    return Stepper(jnp.asarray, lambda s, u: (s, jnp.atleast_1d(p["a"] + p["b"] * u)))


def fitted(y, **kwargs):
    e = Experiment(jnp.asarray(np.sin(0.3 * np.arange(len(y))), y.dtype), y)
    start = jax.tree.map(y.dtype.type, {"a": 0.0, "b": 0.0})
    return fit(Simulation(level), start, e, states=y.dtype.type(0), free_states=False, **kwargs)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_white_residuals_keep_their_intervals_and_priors_their_weight(dtype):
    y = np.random.default_rng(1).normal(size=(500, 1)).astype(dtype)
    for parameters in (None, {"a": {"mean": 0.0, "sd": 0.01}}):
        result = fitted(y, parameters=parameters)
        uncertainty = coloured(result)
        np.testing.assert_allclose(
            uncertainty.standard_error, result.uncertainty.standard_error, rtol=0.25
        )
        assert 0.8 < uncertainty.degrees / result.uncertainty.degrees < 1.2
    np.testing.assert_allclose(uncertainty.standard_error[0], 0.01, rtol=0.1)


def test_bands_follow_the_covariance():
    result = fitted(np.cumsum(np.random.default_rng(2).normal(size=(300, 1)), axis=0))
    uncertainty = coloured(result)
    ratio = bands(result._replace(uncertainty=uncertainty)).sd / bands(result).sd
    wider = uncertainty.standard_error / result.uncertainty.standard_error
    assert wider[0] > 3 and np.abs(ratio).max() < 1.01 * wider.max() and ratio.mean() > 2


@pytest.mark.parametrize("every", [1, 3])
def test_an_autoregression_is_found_through_gaps(every):
    e = ar1(np.random.default_rng(3), 20)[..., 0]
    e = np.concatenate([np.append(one, np.nan) for one in e])
    e[np.arange(len(e)) % every > 0] = np.nan
    if every == 1:
        e[np.random.default_rng(4).random(len(e)) < 0.2] = np.nan
    result = autoregression(e)
    h = np.zeros(60)
    h[: len(result.impulse(60))] = result.impulse(60)
    np.testing.assert_allclose(h[: 10 * every : every], 0.9 ** (every * np.arange(10)), atol=0.06)
    # The variance of the noise, at the samples that are seen, is that of e.
    np.testing.assert_allclose(result.variance * h @ h, np.nanmean(e**2), rtol=0.02)


def test_the_sum_over_all_pairs_is_that_of_the_whole_matrix():
    J = np.random.default_rng(5).normal(size=(80, 2, 3))
    noise = [Autoregression(np.array([1.0, -0.8]), 2.0), Autoregression(np.array([1.0, 0.5]), 1.0)]
    G = np.array([[[2.0, 0.7], [0.7, 1.0]]])
    R = [
        [toeplitz(0.8 ** np.arange(80)) * 2 / 0.36, None],
        [None, toeplitz((-0.5) ** np.arange(80)) / 0.75],
    ]
    k = np.subtract.outer(np.arange(80), np.arange(80))
    R[0][1] = 0.7 * np.where(k > 0, 0.8 ** np.abs(k), (-0.5) ** np.abs(k)) / 1.4
    R[1][0] = R[0][1].T
    whole = sum(J[:, i].T @ R[i][j] @ J[:, j] for i in range(2) for j in range(2))
    np.testing.assert_allclose(_sandwich(J, noise, G), whole, rtol=2e-3, atol=0.1)


def test_a_fit_without_such_a_covariance_is_refused():
    result = fitted(np.random.default_rng(6).normal(size=(50, 1)))
    apart = result._replace(problem=replace(result.problem, join=jnp.ones(1)))
    with pytest.raises(ValueError, match="found: expected a fit in one piece"):
        coloured(apart)
    by_filter = result._replace(problem=replace(result.problem, objective=Prediction(level)))
    with pytest.raises(ValueError, match="found: expected a fit of a simulation, got one of a lik"):
        coloured(by_filter)
