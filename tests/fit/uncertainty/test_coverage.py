"""Intervals cover the truth at the stated rate, in 200 replications for each objective."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import lfilter

from filters import Gaussian, LinearGaussian, kalman
from sim import Stepper, rollout
from sim.fit import Experiment, Prediction, Simulation, fit
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.linearisation import linearise
from sim.fit.search.segments import build_segments, state_scale
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.status import CONVERGED
from sim.fit.solvers.truncated_backprop import TruncatedBackprop
from sim.fit.uncertainty.standard_errors import from_fisher_information

COUNT, SD = 200, 0.05


def covers(intervals, truth):
    """The share of the intervals (COUNT, P, 2) that hold the truth (P,) is 95 %, to chance."""
    low, high = np.moveaxis(np.asarray(intervals), 2, 0)
    share = np.mean((low <= truth) & (truth <= high), axis=0)
    assert (np.abs(share - 0.95) <= 0.04).all(), share


def lag(p):
    """s' = s + h (tanh(u) − s) / T, seen as c s: a parameter each of gain and pace."""
    return Stepper(jnp.asarray, lambda s, u: 2 * (s + 0.2 * (jnp.tanh(u) - s) / p["T"],))


LAG = Simulation(lag, lambda p, y, u: (p["c"] * y)[None])
TRUTH = {"T": 1.5, "c": 2.0}


@pytest.fixture(scope="module")
def clean():
    """What is seen of the lag without noise."""
    u = jnp.asarray(2 * np.random.default_rng(3).normal(size=100))
    s = rollout(lag(TRUTH).step, jnp.asarray(0.5), u)[1]
    return Experiment(u, 2 * s[:, None])


def replications(problem):
    """The noise of each, and the problem with it."""
    (group,) = problem.groups
    noise = SD * np.random.default_rng(4).normal(size=(COUNT, *group.y.shape))

    def replicated(noise):
        return replace(problem, groups=(group._replace(y=group.y + noise),))

    return noise, replicated


@pytest.mark.parametrize("segments", [1, 5])
def test_a_simulation_and_joined_segments(clean, segments):
    problem, z = build_problem(LAG, TRUTH, clean, None, 0.5)
    if segments > 1:
        problem, z, _ = build_segments(problem, z, TRUTH, None, segments, None)
        problem = problem.with_weights(join=100 / state_scale(problem, z))
    noise, replicated = replications(problem)

    def begin(noise):
        return lm.init(z, linearise(replicated(noise), z))

    def advance(search, noise):
        new = lm.propose(search)
        return lm.accept_or_reject(search, new, linearise(replicated(noise), new), 1e-9)

    searches = jax.jit(jax.vmap(begin))(noise)
    step = jax.jit(jax.vmap(advance))
    for _ in range(25):
        searches = step(searches, noise)
    assert (np.asarray(searches.status) == CONVERGED).all()
    intervals = []
    for i in range(COUNT):
        search = jax.tree.map(lambda leaf, i=i: leaf[i], searches)
        intervals.append(
            from_fisher_information(replicated(noise[i]), search.z, search.linearisation).interval(
                0.95
            )[:3]
        )
    covers(intervals, [1.5, 2.0, 0.5])


def test_windows_of_a_simulation(clean):
    """Training starts at the truth, so that its passes are spent near the minimum."""
    problem, z = build_problem(LAG, TRUTH, clean, None, 0.5)
    noise, replicated = replications(problem)
    optimiser = optax.adam(optax.exponential_decay(0.03, 20, 0.5))
    solver = TruncatedBackprop(optimiser, 25, None, 0)

    def begin(noise):
        return solver.init(replicated(noise), z)

    def advance(search, noise):
        return solver.step(replicated(noise), search, 0.0)

    searches = jax.jit(jax.vmap(begin))(noise)
    step = jax.jit(jax.vmap(advance))
    for _ in range(60):
        searches = step(searches, noise)
    intervals = []
    for i, z in enumerate(searches.z):
        replication = replicated(noise[i])
        intervals.append(
            from_fisher_information(replication, z, linearise(replication, z)).interval(0.95)
        )
    covers(intervals, [1.5, 2.0, 0.5])


def driven(p):
    """x' = a x + b u + w, with the sd of w unknown, observed with known noise."""
    one = jnp.eye(1)
    return kalman(LinearGaussian(p["a"] * one, p["sd"] ** 2 * one, one, 0.01 * one, p["b"] * one))


def test_a_prediction_by_a_kalman_filter():
    """An eighth of it missing; whole fits, which share what is compiled."""
    rng = np.random.default_rng(0)
    u = rng.normal(size=(200, 1))
    x = lfilter([1.0], [1.0, -0.7], u[:, 0] + 0.5 * rng.normal(size=(COUNT, 200)), axis=1)
    ys = x[..., None] + 0.1 * rng.normal(size=(COUNT, 200, 1))
    ys[:, ::8] = np.nan
    truth, intervals = {"a": 0.7, "b": 1.0, "sd": 0.5}, []
    for y in ys:
        e = Experiment({"u": u, "y": y}, y)
        result = fit(
            Prediction(driven),
            truth,
            e,
            parameters={"sd": "positive"},
            states=Gaussian(np.zeros(1), np.zeros((1, 1))),
            tolerance=1e-6,
        )
        intervals.append(result.uncertainty.interval(0.95))
    covers(intervals, [0.7, 1.0, 0.5])


def wandering(p):
    one = jnp.eye(1)
    return kalman(LinearGaussian(one, p["level"] * one, one, p["noise"] * one))


def test_variances_by_a_likelihood_of_few_samples():
    """Symmetric intervals would cover the smaller in 88 % and reach below 0."""
    rng = np.random.default_rng(2)
    x = np.cumsum(np.sqrt(0.1) * rng.normal(size=(COUNT, 120)), axis=1)
    ys = x[..., None] + rng.normal(size=(COUNT, 120, 1))
    truth, intervals = {"level": 0.1, "noise": 1.0}, []
    for y in ys:
        result = fit(
            Prediction(wandering),
            truth,
            Experiment(y, y),
            tolerance=1e-6,
            parameters={"level": "positive", "noise": "positive"},
            states=Gaussian(np.zeros(1), np.zeros((1, 1))),
        )
        intervals.append(result.uncertainty.interval(0.95))
    covers(intervals, [0.1, 1.0])
    assert (np.array(intervals)[:, :, 0] > 0).all()
