"""A network fed its own output: invariances under what the teacher says where it is not heard."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import rollout
from sim.rnn import (
    Fed,
    feedback,
    free_running,
    gru,
    initialize_carry,
    readout,
    scheduled,
    teacher_forced,
)
from tests.filters.derivatives import quick
from tests.rnn.zoo import CELLS, HIDDEN, STEPS, normal, signal, weights

OUTPUTS, BATCH = 2, 3
PARAMS = (weights(CELLS["gru"], 1 + OUTPUTS), normal(1, HIDDEN, OUTPUTS), normal(2, OUTPUTS))
Y0 = normal(3, OUTPUTS)
U, TEACHER = signal(STEPS, BATCH, 1), signal(STEPS, BATCH, OUTPUTS, seed=1)


def network(params):
    cell, W, b = params
    return readout(gru(cell), W, b)


def fed(params, xs):
    stepper = feedback(network(params), Y0)
    return rollout(stepper.step, initialize_carry(stepper, BATCH), xs)[1]


run = quick(fed)


@quick
def step(carry, x):
    return network(PARAMS).step(carry, x)


masks = st.lists(
    st.lists(st.booleans(), min_size=BATCH, max_size=BATCH), min_size=STEPS, max_size=STEPS
).map(np.array)


@settings(max_examples=10)
@given(forced=masks, missing=masks)
def test_it_is_the_network_used_step_by_step(forced, missing):
    # What is not heard, or not there, does not matter; the rest is fed as it is.
    teacher = np.where(missing[..., None], np.nan, TEACHER)
    ys = run(PARAMS, Fed(U, teacher, forced))
    heard = forced & ~missing
    c, y = np.zeros((BATCH, HIDDEN)), np.broadcast_to(Y0, (BATCH, OUTPUTS))
    for k in range(STEPS):
        v = np.where(heard[k, :, None], TEACHER[k], y)
        c, y = step(c, np.concatenate([U[k], v], axis=-1))
        np.testing.assert_allclose(ys[k], y, rtol=1e-12)
    other = np.where(heard[..., None], teacher, 1e3)
    np.testing.assert_array_equal(run(PARAMS, Fed(U, other, heard)), ys)


def test_free_running_forgets_the_teacher_and_forced_forgets_itself():
    whole = run(PARAMS, Fed(U, TEACHER, np.ones((STEPS, BATCH), bool)))
    nan = np.full_like(TEACHER, np.nan)
    free = run(PARAMS, Fed(U, nan, np.ones((STEPS, BATCH), bool)))
    one_flag = quick(lambda forced: fed(PARAMS, Fed(U, TEACHER, forced)))
    np.testing.assert_allclose(one_flag(free_running(STEPS)), free, rtol=1e-12)
    np.testing.assert_allclose(one_flag(teacher_forced(STEPS)), whole, rtol=1e-12)
    begun = one_flag(free_running(STEPS, warm_up=2))
    np.testing.assert_allclose(begun[:2], whole[:2], rtol=1e-12)
    assert not np.allclose(begun[2:], whole[2:])


def test_a_missing_teacher_leaves_gradients_finite():
    teacher = TEACHER.copy()
    teacher[2:, 0] = np.nan

    def loss(params, teacher):
        return (fed(params, Fed(U, teacher, np.ones((STEPS, BATCH), bool))) ** 2).sum()

    of_params, of_teacher = quick(jax.grad(loss, (0, 1)))(PARAMS, teacher)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(of_params))
    assert (np.asarray(of_teacher)[2:, 0] == 0).all() and np.abs(of_teacher[:2]).max() > 0


def test_a_network_without_other_input_runs_on_its_own():
    p = (weights(CELLS["gru"], OUTPUTS), *PARAMS[1:])
    stepper = feedback(network(p), Y0)
    xs = Fed(None, np.full((STEPS, OUTPUTS), np.nan), teacher_forced(STEPS))
    carry, ys = quick(lambda c: rollout(stepper.step, c, xs))(stepper.init())
    again = quick(lambda c: rollout(stepper.step, stepper.init(c), xs))(carry)[1]
    both = np.concatenate([ys, again])
    c, y = jnp.zeros(HIDDEN), Y0
    for k in range(2 * STEPS):
        c, y = network(p).step(c, y)
        np.testing.assert_allclose(both[k], y, rtol=1e-12)


def test_a_schedule_is_heard_as_often_as_it_says():
    falling = np.linspace(1, 0, 2000)
    forced = np.asarray(scheduled(jax.random.key(0), falling, 2000))
    assert forced.dtype == bool and forced.shape == (2000,)
    assert abs(forced[:1000].mean() - 0.75) < 0.04 and abs(forced[1000:].mean() - 0.25) < 0.04
    assert scheduled(jax.random.key(0), 0.5, 7).shape == (7,)
    assert scheduled(jax.random.key(0), np.full((7, 2), 0.5), 7).shape == (7, 2)


def test_no_and_yes_are_probabilities():
    for p in (0, 1, np.array([0, 1, 1]), np.array([False, True, True])):
        assert scheduled(jax.random.key(0), p, 3).tolist() == np.broadcast_to(p, 3).tolist()


def test_mistakes_are_one_line():
    stepper = feedback(network(PARAMS), Y0)
    rest, good = stepper.init(), Fed(U[0, 0], TEACHER[0, 0], np.array(True))
    assert stepper.step(rest, good)[1].shape == (OUTPUTS,)
    for call, line in [
        (lambda: stepper.step(rest, U[0, 0]), "x: expected (u, teacher, forced), got *"),
        (
            lambda: stepper.step(rest, good._replace(teacher=TEACHER[0])),
            "teacher: expected float64[2], as the output, got float64[3,2]",
        ),
        (
            lambda: stepper.step(rest, good._replace(forced=np.array(1.0))),
            "forced: expected bool[] or one for each of the batch (), got float64[]",
        ),
        (
            lambda: stepper.step(rest, good._replace(u=U[0])),
            "u: expected (inputs,), with the batch axes of the output, got shape (3, 1)",
        ),
        (
            lambda: stepper.step(rest, good._replace(u=U[0, 0, 0])),
            "u: expected (inputs,), with the batch axes of the output, got shape ()",
        ),
        (lambda: stepper.step(rest.network, good), "carry: expected the pair (network, y), got *"),
        (lambda: stepper.init(rest.network), "carry: expected the pair (network, y), got *"),
        (
            lambda: stepper.init((rest.network, U[0, 0])),
            "carry.y: expected (..., 2), got shape (1,)",
        ),
        (lambda: feedback(network(PARAMS), 0.0), "y0: expected shape (outputs,), got a scalar"),
        (
            lambda: free_running(3, warm_up=3),
            "warm_up: expected an integer of 0 to 2, of 3 steps, got 3",
        ),
        (lambda: teacher_forced(0), "n: expected an integer of at least 1, got 0"),
        (
            lambda: scheduled(jax.random.key(0), np.ones(4), 3),
            "probability: expected () or (3, ...), got shape (4,)",
        ),
        (
            lambda: scheduled(jax.random.key(0), 1.5, 3),
            "probability: expected numbers from 0 to 1, got 1.5",
        ),
        (
            lambda: scheduled(jax.random.key(0), jnp.array([0.5, -0.1, 1.0]), 3),
            "probability: expected numbers from 0 to 1, got -0.1",
        ),
        (
            lambda: scheduled(jax.random.key(0), np.nan, 3),
            "probability: expected numbers from 0 to 1, got nan",
        ),
    ]:
        with pytest.raises(ValueError) as raised:
            call()
        said = str(raised.value)
        assert said.startswith(line) and "\n" not in said, said
