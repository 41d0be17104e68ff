"""Stages: what is held, what goes on, and what is wrong with their names."""

import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper, rollout
from sim.fit import Experiment, Simulation, staged

TRUTH = {"linear": {"a": 0.9, "b": 0.3}, "bend": 0.04}


def model(p):
    def step(s, u):
        s = p["linear"]["a"] * s - p["bend"] * s**3 + p["linear"]["b"] * u
        return s, s

    return Stepper(jnp.asarray, step)


OBJECTIVE = Simulation(model)
U = np.random.default_rng(0).normal(size=80) * 3


@pytest.fixture(scope="module")
def record():
    y = rollout(model(TRUTH).step, jnp.asarray(0.0), jnp.asarray(U))[1]
    return Experiment(jnp.asarray(U), y[:, None])


def test_a_part_and_then_the_rest(record):
    start = {"linear": {"a": 0.5, "b": 0.0}, "bend": 0.0}
    losses = []
    found = staged(
        OBJECTIVE,
        start,
        record,
        [["linear"], ["bend"]],
        states=0.0,
        report=lambda step, loss: losses.append((step, loss)),
    )
    np.testing.assert_allclose(
        [found.params["linear"]["a"], found.params["linear"]["b"], found.params["bend"]],
        [0.9, 0.3, 0.04],
        rtol=1e-6,
    )
    # The second search begins again at 1, at the loss where the first has ended.
    again = [i for i, (step, _) in enumerate(losses) if step == 1][1]
    assert losses[again][1] <= losses[again - 1][1]
    assert losses[again - 1][1] > 1e-3  # of a linear model of a bent record
    assert len(found.loss) == 1 + len(losses)
    np.testing.assert_array_equal(found.loss[1:], [loss for _, loss in losses])
    assert (
        found.message.startswith("2 stages: converged after")
        and "; then converged after" in found.message
    )


def test_a_tie_follows_in_every_stage(record):
    """Fixed at its start until the last stage, it would leave the first far from the record."""
    losses = []
    start = {"linear": {"a": 0.5, "b": 0.5}, "bend": 0.0}
    found = staged(
        OBJECTIVE,
        start,
        record,
        [["linear.a"], ["bend"]],
        states=0.0,
        parameters={"linear.b": "= linear.a", "bend": "fixed"},
        report=lambda *seen: losses.append(seen),
    )
    first = max(i for i, (step, _) in enumerate(losses) if step == 1)
    np.testing.assert_allclose(losses[first - 1][1], found.loss[-1], rtol=1e-6)
    assert found.params["linear"]["b"] == found.params["linear"]["a"]


def test_what_is_held_by_the_user_stays_held(record):
    start = {"linear": {"a": 0.5, "b": 0.3}, "bend": 0.04}
    found = staged(
        OBJECTIVE,
        start,
        record,
        [["linear"], ["bend"]],
        states=0.0,
        free_states=False,
        parameters={"bend": "fixed"},
    )
    assert float(found.params["bend"]) == 0.04
    np.testing.assert_allclose(float(found.params["linear"]["a"]), 0.9, rtol=1e-6)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([], "stages: expected lists"),
        ([[]], "stages: expected lists"),
        (["bend"], "stages: expected lists"),
        ([["bent"]], "stages: there is no 'bent'; did you mean 'bend'"),
    ],
)
def test_stages_that_do_not_do_are_named(record, stages, words):
    with pytest.raises(ValueError, match=words):
        staged(OBJECTIVE, TRUTH, record, stages, states=0.0)


def test_a_first_stage_that_searches_nothing_is_named(record):
    for how, words in (
        ({"parameters": {"bend": "fixed"}}, "stages: expected a first stage with a parameter"),
        ({"search": 1}, "search: expected none, as stages begin"),
    ):
        with pytest.raises(ValueError, match=words):
            staged(OBJECTIVE, TRUTH, record, [["bend"], ["linear"]], states=0.0, **how)
