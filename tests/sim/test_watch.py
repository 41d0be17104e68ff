"""Watching a loop changes nothing in it, and costs nothing where it is not used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper, rollout
from sim.watch import watch

LOGISTIC = Stepper(lambda c: jnp.asarray(c), lambda c, x: (3.7 * c * (1 - c), c))


def run(stepper, c0, length=10):
    return rollout(stepper.step, stepper.init(c0), length=length)


def test_records_every_kth_step_and_leaves_the_run_as_it_is():
    seen = []
    watched = watch(
        LOGISTIC, 3, lambda c: {"c": c, "twice": 2 * c}, lambda k, s: seen.append((k, s))
    )
    carry, ys = jax.jit(lambda: run(watched, 0.2))()
    jax.effects_barrier()
    plain, expected = jax.jit(lambda: run(LOGISTIC, 0.2))()
    np.testing.assert_array_equal(ys, expected)
    np.testing.assert_array_equal(carry.carry, plain)
    assert [int(k) for k, _ in seen] == [3, 6, 9]
    np.testing.assert_array_equal([s["c"] for _, s in seen], expected[np.array([3, 6, 9])])
    np.testing.assert_array_equal([s["twice"] for _, s in seen], 2 * expected[np.array([3, 6, 9])])


def test_prints_a_line(capfd):
    jax.block_until_ready(run(watch(LOGISTIC, 5), 0.5))
    jax.effects_barrier()
    lines = capfd.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["step 5", "step 10"]


def test_under_vmap_and_gradients():
    seen = []
    watched = watch(LOGISTIC, 5, sink=lambda k, c: seen.append(float(c)))
    ys = jax.vmap(lambda c: run(watched, c)[1])(jnp.array([0.1, 0.2]))
    jax.effects_barrier()
    assert ys.shape == (2, 10) and len(seen) == 4
    slope = jax.grad(lambda c: run(watched, c)[1].sum())(0.2)
    np.testing.assert_allclose(slope, jax.grad(lambda c: run(LOGISTIC, c)[1].sum())(0.2))


def test_carries_made_in_a_batch_are_told_of_at_the_same_steps():
    seen = []
    watched = watch(LOGISTIC, 5, sink=lambda k, c: seen.append(int(k)))
    carries = jax.vmap(watched.init)(jnp.array([0.1, 0.2]))
    jax.vmap(lambda c: rollout(watched.step, c, length=12)[1])(carries).block_until_ready()
    jax.effects_barrier()
    assert seen == [5, 5, 10, 10]


def test_a_stepper_that_is_not_watched_calls_nothing():
    def text(stepper):
        return jax.jit(lambda c: run(stepper, c)).lower(0.5).compile().as_text()

    assert "custom-call" in text(watch(LOGISTIC, 5))
    assert "custom-call" not in text(LOGISTIC)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="every: expected an integer of at least 1, got 0"):
        watch(LOGISTIC, 0)
    with pytest.raises(ValueError, match="stepper: expected a Stepper, got function"):
        watch(LOGISTIC.step, 2)
