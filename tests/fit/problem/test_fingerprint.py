"""A search goes on with the problem it began with, or says in one line what is another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper
from sim.fit import (
    Experiment,
    GaussNewton,
    Huber,
    Prior,
    Simulation,
    Truncated,
    fit,
    load,
    multistart,
    save,
    shoot,
)
from sim.fit.problem.fingerprint import fingerprint, matches


def model(p):
    return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s + jnp.tanh(p["b"] * u),))


U = np.random.default_rng(0).normal(size=40)
RECORD = Experiment(U, np.cumsum(np.tanh(U))[:, None] / np.arange(1, 41)[:, None])
START, SIMULATION = {"a": 0.2, "b": 1.5}, Simulation(model)
GIVEN = {"objective": SIMULATION, "start": START, "experiments": RECORD, "states": 0.1}


@pytest.fixture(scope="module")
def some():
    return fit(**GIVEN, steps=2)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"start": {"a": 0.2, "b": 1.5000001}}, "another: start$"),
        ({"start": {"a": 0.2, "b": 1.5, "c": 1.0}}, "another: start and parameters$"),
        ({"parameters": {"b": "positive"}}, "another: parameters$"),
        ({"parameters": {"b": Prior(1.0, 1.0)}}, "another: parameters$"),
        (
            {"experiments": RECORD._replace(y=RECORD.y + 1e-6 * (U[7] == U)[:, None])},
            "another: experiments$",
        ),
        ({"experiments": RECORD._replace(xs=U[::-1])}, "another: experiments$"),
        ({"experiments": [RECORD, RECORD], "states": 0.1}, "another: experiments and states$"),
        ({"states": 0.2}, "another: states$"),
        ({"free_states": False}, "another: state_kinds$"),
        ({"state_kinds": {"state": "positive"}}, "another: state_kinds$"),
        ({"validation": RECORD}, "another: validation$"),
        ({"objective": Simulation(model, robust=Huber())}, "another: objective$"),
        (
            {"solver": GaussNewton()},
            "that of another, a sim.fit.solvers.levenberg_marquardt.State$",
        ),
        (
            {"objective": Truncated(SIMULATION, 8)},
            "that of another, a sim.fit.solvers.levenberg_marquardt.State$",
        ),
        ({"search": 3}, "expected the search of a Fit, as found.search, got int$"),
        ({"search": {"z": 3}}, "expected the search of a Fit, as found.search, got dict$"),
    ],
)
def test_what_is_another_is_named(some, change, words):
    with pytest.raises(ValueError, match=f"^search: .*{words}") as error:
        fit(**{**GIVEN, "search": some.search, **change})
    assert "\n" not in str(error.value)


def test_a_whole_fit_goes_on_as_its_search_does(some):
    found = fit(**GIVEN, search=some)
    for a, b in zip(
        jax.tree.leaves(found.search), jax.tree.leaves(fit(**GIVEN).search), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    # Copies of the same numbers are the same problem.
    again = {
        **GIVEN,
        "start": {k: np.array(v) for k, v in START.items()},
        "experiments": [RECORD._replace(xs=U.copy())],
    }
    assert fit(**again, search=found).params == found.params


def test_the_best_of_many_and_a_shot_go_on_too():
    for found in (
        multistart(SIMULATION, START, RECORD, 3, states=0.1).best,
        shoot(SIMULATION, START, RECORD, 4, states=0.1),
    ):
        again = fit(**GIVEN, search=found)
        assert again.loss[-1] == found.loss[-1] and "converged" in again.message
    apart = found._replace(search=found.search._replace(fingerprint=None))
    with pytest.raises(
        ValueError, match="one that knows the problem it began with, got one without"
    ):
        fit(**GIVEN, search=apart)


def test_a_file_of_an_earlier_version_is_said_to_be_one(some, tmp_path):
    save(tmp_path / "search.npz", some.search._replace(fingerprint=None))
    with pytest.raises(ValueError, match="an earlier version wrote it, .*begin anew"):
        load(tmp_path / "search.npz", some.search)
    save(tmp_path / "search.npz", some.search)
    assert load(tmp_path / "search.npz", some.search).fingerprint.start.dtype == float
    with pytest.raises(ValueError, match="another run"):
        load(tmp_path / "search.npz", some.search._replace(weights=np.ones(2)))


def test_a_fingerprint_leaves_room_for_rounding_and_for_nothing_else(some):
    problem = some.problem
    before = fingerprint(problem).experiments
    (group,) = problem.groups

    def matches_with(xs):
        new = type(problem)(**{**vars(problem), "groups": (group._replace(xs=xs),)})
        return matches(before, fingerprint(new).experiments)

    assert matches_with(jnp.nextafter(group.xs, jnp.inf))
    assert not matches_with(group.xs.at[0, 3].add(1e-9)) and not matches_with(group.xs[:, ::-1])
