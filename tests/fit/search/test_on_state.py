"""A search hands out its state after every evaluation, and ends where it is told to."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sim import Stepper
from sim.fit import Experiment, Simulation, Truncated, ensemble, fit, load, save


def model(p):
    def step(s, u):
        s = p["a"] * s + jnp.tanh(p["b"] * u)
        return s, jnp.stack([s, p["b"] * s])

    return Stepper(jnp.asarray, step)


RNG = np.random.default_rng(0)
U = RNG.normal(size=40)
# The two outputs have noise of different size, so that the search weights them anew.
Y = np.cumsum(np.tanh(U))[:, None] * [0.1, 0.2] + RNG.normal(size=(40, 2)) * [0.01, 0.3]
GIVEN = {
    "objective": Simulation(model),
    "start": {"a": 0.2, "b": 1.5},
    "experiments": Experiment(U, Y),
    "states": 0.1,
}
TRAINING = {"solver": optax.adam(0.01), "objective": Truncated(Simulation(model), 15)}
STARTS = {"a": jnp.array([0.2, 0.5]), "b": jnp.array([1.5, 0.5])}


def assert_same(one, other):
    """Compare two pytrees bit for bit."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("change", [{}, TRAINING], ids=["fit", "training"])
def test_a_fit_ends_and_goes_on_as_if_its_steps_had_run_out(change, tmp_path):
    given = GIVEN | change | {"steps": 30}
    whole = fit(**given)
    last = len(whole.loss) - 1
    for stop in {1, last // 2, last}:
        states, losses = [], []

        def count(state, loss, validation, stop=stop, states=states, losses=losses):
            states.append(state)
            losses.append(loss)
            assert validation is None
            return len(states) == stop

        ended, fewer = fit(**given, on_state=count), fit(**given | {"steps": stop})
        assert len(states) == stop and ended.message == fewer.message
        np.testing.assert_array_equal(losses, ended.loss[1:])
        assert_same(ended.search, fewer.search)
        assert_same(ended.params, fewer.params)
        save(tmp_path / "search.npz", states[-1])
        kept = load(tmp_path / "search.npz", ended.search)
        for search in (states[0], kept):
            again = fit(**given, search=search)
            assert again.message == whole.message
            assert_same(again.search, whole.search)


def test_an_ensemble_ends_and_goes_on_as_if_its_steps_had_run_out():
    given = {"starts" if name == "start" else name: value for name, value in GIVEN.items()}
    given |= {"starts": STARTS, "steps": 12, "states": [0.1, 0.1]}
    given["validation"] = Experiment(U[:10], Y[:10])
    whole, states, losses = ensemble(**given), [], []

    def count(state, loss, validation):
        states.append(state)
        losses.append((loss, validation))
        return len(states) == 4

    ended, fewer = ensemble(**given, on_state=count), ensemble(**given | {"steps": 4})
    assert ended.message == fewer.message
    assert_same(ended.search, fewer.search)
    assert_same(states[-1], ended.search)
    assert_same(ensemble(**given, search=states[1]).search, whole.search)
