"""Many starts: the best of many minima, and what became of each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper
from sim.fit.problem.objectives import Prediction, Simulation, Truncated
from sim.fit.search.multistart import _advance_batch, multistart
from sim.records.experiment import Experiment


def clock(p):
    """s' = s + 1, of which c sin(w s) is seen; beyond w = 2.5 it breaks."""

    def step(s, _):
        s = s + 1 + jnp.where(p["w"] > 2.5, jnp.inf, 0.0)
        return s, s

    return Stepper(jnp.asarray, step)


SEEN = Simulation(clock, lambda p, y, u: (p["c"] * jnp.sin(p["w"] * y))[None])
TIMES = np.arange(1.0, 41.0)
Y = 1.5 * np.sin(0.8 * TIMES) + 0.02 * np.random.default_rng(0).normal(size=40)
GIVEN = {
    "objective": SEEN,
    "start": {"c": 1.0, "w": 2.0},
    "experiments": Experiment(None, jnp.asarray(Y)[:, None]),
    "parameters": {"w": (0.1, 3.0), "c": "positive"},
    "states": 0.0,
    "first": 4,
}


def test_the_best_of_many_minima():
    found = multistart(starts=24, batch=8, **GIVEN)
    assert np.isclose(found.best.params["w"], 0.8, atol=2e-3)
    assert np.isclose(found.best.params["c"], 1.5, atol=0.02)
    w = 0.1 + 2.9 / (1 + np.exp(-found.starts[:, found.best.uncertainty.names.index("w")]))
    # A Latin hypercube: one start in each twenty-fourth of the bounds.
    assert sorted(((w - 0.1) / 2.9 * 24).astype(int)) == list(range(24))
    diverged = np.array([fate == "diverged" for fate in found.fates])
    assert (diverged == (w > 2.5)).all() and (np.isinf(found.losses) == diverged).all()
    best = np.array([fate == "best minimum" for fate in found.fates])
    assert best.any() and np.allclose(found.losses[best], found.best.loss[-1], rtol=1e-3)
    counts = [found.fates.count(fate) for fate in ("best minimum", "other minimum", "dropped")]
    words = "24 starts: {} ended in the best minimum, {} in another, {} were dropped, {} diverged"
    assert found.message.startswith(words.format(*counts, diverged.sum()) + "; the best converged")
    # The same again, and otherwise drawn.
    assert (multistart(starts=24, batch=8, **GIVEN).losses == found.losses).all()
    assert (multistart(starts=24, batch=8, seed=1, **GIVEN).starts != found.starts).any()


class Seen(NamedTuple):
    """What a filter emits."""

    loglik: jax.Array
    innovation: jax.Array


def innovations(p):
    """The same clock, as the filter that knows its state."""

    def step(s, y):
        s, at = clock(p).step(s, None)
        v = y - p["c"] * jnp.sin(p["w"] * at)
        S = p["noise"]
        return s, Seen(-0.5 * jnp.sum(v * v / S + jnp.log(2 * jnp.pi * S)), v)

    return Stepper(jnp.asarray, step)


@pytest.mark.parametrize("dtype", [float, np.float32])
def test_the_best_of_many_maxima_of_a_likelihood(dtype):
    y = jnp.asarray(Y[:, None], dtype)
    start = jax.tree.map(lambda v: jnp.asarray(v, dtype), {**GIVEN["start"], "noise": 1.0})
    given = GIVEN | {
        "objective": Prediction(innovations),
        "start": start,
        "experiments": Experiment(y, y),
        "parameters": GIVEN["parameters"] | {"noise": "positive"},
        "first": 8,
    }
    found = multistart(starts=24, batch=8, **given)
    # By linear regression at each of many frequencies: the largest likelihood of all.
    w = np.linspace(0.795, 0.805, 10001)[:, None]
    X = np.sin(w * TIMES)
    left = np.sum(Y**2) - (X @ Y) ** 2 / np.sum(X**2, axis=1)
    best, tight = np.argmin(left), 1e-6 if dtype is float else 2e-3
    expected = [(X @ Y)[best] / np.sum(X[best] ** 2), left[best] / 40, w[best, 0]]
    got = [found.best.params[name] for name in ("c", "noise", "w")]
    np.testing.assert_allclose(got, expected, rtol=tight)
    loss = 20 * (1 + np.log(2 * np.pi * left[best] / 40))
    assert loss < 0 and found.losses.dtype == dtype
    np.testing.assert_allclose(found.losses.min(), loss, rtol=0.1 * tight)
    w = 0.1 + 2.9 / (1 + np.exp(-found.starts[:, 2]))
    fates = np.array(found.fates)
    assert ((fates == "diverged") == (w > 2.5)).all() and (fates == "dropped").any()
    best = fates == "best minimum"
    assert best.any() and np.ptp(found.losses[best]) < 0.01
    assert "; the best converged" in found.message and not found.best.uncertainty.open
    # One program for all: the same starts again compile nothing.
    compiled = _advance_batch._cache_size()
    again = multistart(starts=24, batch=8, **given)
    assert (again.losses == found.losses).all() and _advance_batch._cache_size() == compiled


def test_starts_around_one_bound_lie_within_a_factor_of_the_distance():
    kinds = {"w": (0.1, 3.0), "c": (-np.inf, 5.0)}
    found = multistart(starts=8, batch=8, **GIVEN | {"parameters": kinds, "steps": 1, "first": 1})
    away = np.exp(found.starts[:, 0])
    assert np.abs(np.log(away / 4)).max() < 1 and np.ptp(away) > 3


def test_starts_of_ones_own():
    own = {"c": np.array([1.0, 2.0, 1.0]), "w": np.array([1.7, 0.79, 2.9])}
    found = multistart(starts=own, batch=8, **GIVEN)
    assert np.isclose(found.best.params["w"], 0.8, atol=2e-3)
    assert found.fates == ("other minimum", "best minimum", "diverged")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"keep": 1.0}, "keep: expected a share between 0 and 1, got 1.0"),
        ({"starts": 0}, "starts: expected .* got 0"),
        ({"starts": {"c": np.ones(2)}}, "starts: expected a number, or the parameters"),
        ({"starts": {"c": np.ones(2), "w": np.ones(3)}}, "starts: expected one leading axis"),
        ({"starts": {"c": np.ones(2), "w": np.array([1.0, 4.0])}}, r"starts\[1\]: w: expected"),
        ({"starts": {"c": np.ones(2), "w": np.full(2, 2.8)}}, "starts: .* got 2 that diverge"),
        ({"objective": Truncated(SEEN, 9)}, "objective: expected a Simulation .* got Truncated"),
    ],
)
def test_mistakes_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        multistart(**GIVEN | {"batch": 8} | change)
