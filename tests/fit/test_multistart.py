"""Many starts: the best of many minima, and what became of each."""

import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper
from sim.fit.experiment import Experiment
from sim.fit.multistart import multistart
from sim.fit.objectives import Prediction, Simulation
from sim.fit.windows import Truncated


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
        ({"objective": Prediction(clock)}, "objective: expected a simulation .* got Prediction"),
        ({"objective": Truncated(SEEN, 9)}, "objective: expected a simulation .* got Truncated"),
    ],
)
def test_mistakes_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        multistart(**GIVEN | {"batch": 8} | change)
