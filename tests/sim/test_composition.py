"""`repeat` and `cascade`: steps made of steps."""

import jax
import jax.numpy as jnp
import pytest
from jax.tree_util import Partial

from sim import Stepper, cascade, repeat, rollout
from tests.sim.steps import CARRY, THETA, XS, assert_bits, assert_same, mixing, relax


@pytest.mark.parametrize("n", [1, 2, 5])
def test_repeat_is_every_nth_of_the_whole_bit_for_bit(n):
    whole = jax.jit(lambda: rollout(mixing, CARRY, length=20))()
    saved = jax.jit(lambda: rollout(repeat(mixing, n), CARRY, length=20 // n))()
    assert_bits(saved, (whole[0], jax.tree.map(lambda y: y[n - 1 :: n], whole[1])))


def test_repeat_holds_its_input_and_differentiates():
    def total(xs):
        return jnp.sum(rollout(repeat(lambda c, x: (c + x, c), 3), 0.0, xs)[0])

    assert jax.grad(total)(jnp.ones(4)).tolist() == [3.0] * 4
    assert jax.jacfwd(total)(jnp.ones(4)).tolist() == [3.0] * 4


def test_a_cascade_is_the_parts_one_after_the_other():
    gain = Stepper(lambda: None, lambda c, x: (c, 2.0 * x))
    lag = Stepper(lambda c: c, Partial(relax, THETA))
    both = cascade(lag, Stepper(lambda _: (), gain.step), lag)
    carry = both.init(jnp.asarray(0.2), None, jnp.asarray(0.5))
    last, ys = rollout(both.step, carry, XS)
    first = rollout(lag.step, jnp.asarray(0.2), XS)
    second = rollout(lag.step, jnp.asarray(0.5), 2.0 * first[1])
    assert_same(ys, second[1])
    assert_same((last[0], last[2]), (first[0], second[0]))
    slopes = jax.grad(lambda stepper: rollout(stepper.step, carry, XS)[1].sum())(both)
    assert len(jax.tree.leaves(slopes)) == 2 * len(THETA)
