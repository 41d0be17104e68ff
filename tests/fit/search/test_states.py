"""Kinds of initial states: fixed entries, bounds and priors, in every way to search."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.fit.options import fit_options
from experiments.fit.search import prepare_search
from experiments.identification.experiments import RecordedExperiment
from experiments.identification.objective import FitSetup
from filters import Gaussian, LinearGaussian, kalman
from sim import Stepper, rollout
from sim.fit import (
    Experiment,
    Positive,
    Prediction,
    Prior,
    Simulation,
    Truncated,
    fit,
    multistart,
    profile,
    shoot,
    staged,
)
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.linearisation import linearise
from sim.fit.problem.losses import loss, residual_vector
from tests.filters.derivatives import check_gradient


class State(NamedTuple):
    position: float
    velocity: float


def mass(p):
    """A mass on a spring with friction, by Euler's method, half implicit."""

    def step(s, u):
        velocity = s.velocity + 0.1 * (u - p["k"] * s.position - 0.3 * s.velocity)
        s = State(s.position + 0.1 * velocity, velocity)
        return s, s

    return Stepper(lambda s: jax.tree.map(jnp.asarray, s), step)


MASS = Simulation(mass, lambda p, y, u: y.position[None])
START = {"k": 1.5}


def record(steps, state, seed):
    rng = np.random.default_rng(seed)
    u = jnp.asarray(rng.normal(size=steps))
    y = rollout(mass({"k": 2.0}).step, jax.tree.map(jnp.asarray, state), u)[1].position
    return Experiment(u, y[:, None] + 0.01 * rng.normal(size=(steps, 1)))


RECORDS = [record(40, State(1.0, 0.5), 0), record(25, State(0.2, 0.5), 1)]
GUESS = State(0.7, 0.5)


def test_a_fixed_entry_stays_and_the_others_are_found():
    found = fit(MASS, START, RECORDS, states=GUESS, state_kinds={"velocity": "fixed"})
    assert found.uncertainty.names == ("k", "states[0].position", "states[1].position")
    assert found.problem.unknowns == 3
    error = found.uncertainty.value - [2.0, 1.0, 0.2]
    assert (np.abs(error) < 3 * found.uncertainty.standard_error).all()
    assert [float(s.velocity) for s in found.states] == [0.5, 0.5]
    free = fit(MASS, START, RECORDS, states=GUESS)
    assert (found.uncertainty.standard_error < free.uncertainty.standard_error[[0, 1, 3]]).all()
    # All of them fixed is as none estimated.
    both = fit(
        MASS, START, RECORDS, states=GUESS, state_kinds={"velocity": "fixed", "position": "fixed"}
    )
    none = fit(MASS, START, RECORDS, states=GUESS, free_states=False)
    assert both.uncertainty.names == ("k",) and both.params["k"] == none.params["k"]


def test_a_prior_pulls_each_state_as_a_row_of_a_regression():
    """No parameter bends here: the state is that of a weighted regression."""

    def falling(p):
        return Stepper(jnp.asarray, lambda s, _: (s, s + p["bias"]))

    e = [
        Experiment(None, jnp.asarray([[1.0], [2.0]])),
        Experiment(None, jnp.asarray([[4.0], [7.0]])),
    ]
    kinds = {"state": {"mean": 0.5, "sd": 0.5}}
    problem, z = build_problem(
        Simulation(falling), {"bias": 0.1}, e, {"bias": Prior(0.0, 1.0)}, 2.0, None, kinds
    )
    assert problem.prior_count == 3
    problem = problem.with_weights(jnp.asarray([2.0]))
    r, found = np.asarray(residual_vector(problem, z)), linearise(problem, z)
    expected = [2 * (y - 2.1) for y in (1, 2, 4, 7)] + [0.1, 3.0, 3.0]
    np.testing.assert_allclose(sorted(r), sorted(expected))
    np.testing.assert_allclose(found.loss, 0.5 * r @ r)
    J = jax.jit(jax.jacfwd(lambda z: residual_vector(problem, z)))(z)
    np.testing.assert_allclose(found.R.T @ found.R, J.T @ J, atol=1e-12)
    np.testing.assert_allclose(found.R.T @ found.q, J.T @ r, atol=1e-12)
    check_gradient(lambda z: loss(problem, z), z)


@pytest.mark.parametrize("window", [None, 50])
def test_bounds_and_signs_hold_the_states(window):
    kinds = {"position": (0.5, np.inf), "velocity": Prior(0.5, 0.1, Positive())}
    objective, solver = MASS, None
    if window:
        objective, solver = (
            Truncated(MASS, window),
            optax.adam(optax.exponential_decay(0.1, 60, 0.7)),
        )
    found = fit(
        objective, START, RECORDS, states=GUESS, state_kinds=kinds, solver=solver, steps=400
    )
    assert float(found.states[0].position) == pytest.approx(1.0, abs=0.05)
    assert 0.5 <= float(found.states[1].position) < 0.505
    assert float(found.states[0].velocity) == pytest.approx(0.5, abs=0.15)
    if not window:
        assert found.message.endswith("; states[1].position is held by its bound 0.5")
        # A search may round what it moves onto a bound: a next stage goes on all the same.
        assert float(found.states[1].position) == 0.5
        again = staged(MASS, START, RECORDS, [["k"], ["k"]], states=GUESS, state_kinds=kinds)
        np.testing.assert_allclose(again.params["k"], found.params["k"], rtol=1e-3)
        ends = profile(found, "states[0].velocity").interval
        assert 0 < ends[0] < 0.5 < ends[1] < 0.8


def test_all_ways_to_search_mean_the_same():
    given = {"states": GUESS, "state_kinds": {"velocity": "fixed", "position": (0.0, 3.0)}}
    one = fit(MASS, START, RECORDS, **given)
    starts = multistart(MASS, START, RECORDS, {"k": np.array([1.0, 3.0])}, batch=2, **given).best
    segments = shoot(MASS, START, RECORDS, 4, **given)
    stages = staged(MASS, START, RECORDS, [["k"]], **given)
    for found in (starts, segments, stages):
        assert found.uncertainty.names == one.uncertainty.names
        np.testing.assert_allclose(found.uncertainty.value, one.uncertainty.value, atol=1e-5)
        assert float(found.states[0].velocity) == 0.5


def test_a_segment_that_begins_out_of_bounds_ends_within():
    found = shoot(MASS, START, RECORDS, 4, states=GUESS, state_kinds={"position": (0.6, 3.0)})
    assert "as one simulation" in found.message and 0.6 < float(found.states[1].position) < 0.605


def test_the_prior_of_a_filter_is_estimated_in_part():
    def level(p):
        one = jnp.eye(1)
        return kalman(LinearGaussian(one, p * one, one, one))

    y = jnp.asarray(np.random.default_rng(2).normal(size=(30, 1)) + 5)
    found = fit(
        Prediction(level),
        0.1,
        Experiment(y, y),
        states=Gaussian(np.full(1, 4.0), np.zeros((1, 1))),
        state_kinds={"P": "fixed"},
        parameters={"parameter": "positive"},
    )
    assert found.uncertainty.names == ("parameter", "states[0].m[0]")
    assert np.abs(found.uncertainty.value[1] - 5) < 3 * found.uncertainty.standard_error[1]
    assert found.states[0].P == 0
    # Free, its covariance would be searched into the negative.
    for some in ({"free_states": True}, {"state_kinds": {"m": "free"}}):
        with pytest.raises(ValueError, match="state_kinds: expected a kind for P, .* got none"):
            fit(
                Prediction(level),
                0.1,
                Experiment(y, y),
                states=Gaussian(np.full(1, 4.0), np.eye(1)),
                **some,
            )


@pytest.mark.parametrize(
    "change, words",
    [
        ({"state_kinds": {"velocty": "fixed"}}, "state_kinds: there is no 'velocty'; did you mean"),
        ({"state_kinds": {"position": "fixt"}}, "state_kinds: position: no kind 'fixt'"),
        ({"state_kinds": {"position": (1, 2)}}, "state_kinds: position: expected a start between"),
        ({"state_kinds": ["position"]}, "state_kinds: expected kinds by name, got list"),
        (
            {"state_kinds": {"position": "fixed"}, "free_states": False},
            "state_kinds: expected none, as no initial state is estimated, got position",
        ),
        ({"states": State(np.nan, 0.0)}, "states: expected finite numbers, got position = nan"),
        ({"states": [State(0.0, 0.0), State(0.0, np.zeros(2))]}, "states: .* one structure and"),
    ],
)
def test_mistakes_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        fit(MASS, START, RECORDS, **{"states": GUESS} | change)
    with pytest.raises(ValueError, match="state_kinds: expected none beside the weight"):
        shoot(MASS, START, RECORDS, 4, states=GUESS, weight=1.0, state_kinds={"velocity": "fixed"})


def test_the_command_line_declares_them_among_the_parameters():
    setup = FitSetup(MASS, START, GUESS, {}, {}, ())
    records = [RecordedExperiment("", 0, None, None, None, e) for e in RECORDS]
    options = fit_options({"k": "positive", "states": {"velocity": "fixed"}})
    found = prepare_search(options, setup, records).initial
    assert found.uncertainty.names == ("k", "states[0].position", "states[1].position")
    options = fit_options({"states": {"speed": "fixed"}})
    with pytest.raises(ValueError, match="fit.parameters.states: there is no 'speed'"):
        prepare_search(options, setup, records)
    options = fit_options({"states": {"velocity": "fixed"}}, states="fixed")
    with pytest.raises(ValueError, match="fit.parameters.states: expected none, as no initial"):
        prepare_search(options, setup, records)
