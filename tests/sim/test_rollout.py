"""`rollout` is `lax.scan` with named mistakes: against a Python loop, in every mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.tree_util import Partial

from sim import rollout
from tests.sim.steps import CARRY, XS, assert_bits, assert_same, loop, mixing, relax

shapes = st.lists(st.integers(1, 2), max_size=2).map(tuple)
trees = st.recursive(
    shapes,
    lambda inner: (
        st.tuples(inner, inner) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=2)
    ),
    max_leaves=3,
)


def draw_xs(tree, length, seed):
    rng = np.random.default_rng(seed)
    is_shape = lambda t: isinstance(t, tuple) and all(isinstance(n, int) for n in t)  # noqa: E731
    return jax.tree.map(lambda s: rng.normal(size=(length, *s)), tree, is_leaf=is_shape)


@settings(max_examples=15, deadline=None)
@given(tree=trees, length=st.integers(1, 9), reverse=st.booleans(), seed=st.integers(0, 99))
def test_equals_a_python_loop(tree, length, reverse, seed):
    xs = draw_xs(tree, length, seed)
    got = rollout(mixing, CARRY, xs, length=length, reverse=reverse)
    assert_same(got, loop(mixing, CARRY, xs, length, reverse))


@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(2, 12),
    cut=st.floats(0, 1),
    reverse=st.booleans(),
    driven=st.booleans(),
    seed=st.integers(0, 99),
)
def test_chunks_joined_equal_the_whole_bit_for_bit(length, cut, reverse, driven, seed):
    xs = np.random.default_rng(seed).normal(size=(length, 2)) if driven else None
    cut = 1 + int(cut * (length - 2))
    run = jax.jit(
        lambda carry, xs, n: rollout(mixing, carry, xs, length=n, reverse=reverse), static_argnums=2
    )
    whole = run(CARRY, xs, length)
    parts = [(slice(0, cut), cut), (slice(cut, length), length - cut)]
    carry, pieces = CARRY, []
    for part, n in parts[::-1] if reverse else parts:
        carry, ys = run(carry, None if xs is None else xs[part], n)
        pieces.append(ys)
    joined = jax.tree.map(
        lambda a, b: np.concatenate([a, b]), *(pieces[::-1] if reverse else pieces)
    )
    assert_bits(whole, (carry, joined))


@pytest.mark.parametrize("unroll", [2, 5, True])
def test_unroll_changes_nothing(unroll):
    xs = jnp.linspace(-1, 1, 7)
    assert_same(rollout(mixing, CARRY, xs, unroll=unroll), rollout(mixing, CARRY, xs))


def test_vmap_over_carries_inputs_and_parameters():
    c0 = jnp.linspace(0, 1, 4)
    xs = jnp.stack([XS * k for k in range(1, 5)])
    thetas = {"rate": jnp.linspace(0.1, 0.4, 4), "gain": jnp.ones(4)}
    run = jax.jit(lambda theta, c, xs: rollout(Partial(relax, theta), c, xs)[1])
    for axes in [(None, 0, None), (None, None, 0), (0, None, None), (0, 0, 0)]:
        pick = [
            jax.tree.map(lambda leaf, a=a: leaf if a is not None else leaf[1], tree)
            for a, tree in zip(axes, (thetas, c0, xs), strict=True)
        ]
        batch = jax.vmap(run, axes)(*pick)
        for i in range(4):
            one = [
                jax.tree.map(lambda leaf, a=a, i=i: leaf if a is None else leaf[i], tree)
                for a, tree in zip(axes, pick, strict=True)
            ]
            np.testing.assert_allclose(batch[i], run(*one), rtol=1e-13)


def test_a_python_number_takes_the_dtype_of_the_step():
    xs = jnp.ones(3, jnp.float32)
    carry, ys = rollout(lambda c, x: (c + x, c), 0.0, xs)
    assert carry.dtype == ys.dtype == jnp.float32
    assert rollout(lambda c, x: (c + x, c), 0, xs)[0].dtype == jnp.float32
    assert rollout(lambda c, x: (c + 1, c), 0, length=3)[1].tolist() == [0, 1, 2]
    # One that only hears of the dtype from another.
    last, _ = rollout(lambda c, x: ((c[1], x + 1), None), (0.0, 0.0), xs)
    assert last[0].dtype == last[1].dtype == jnp.float32


def test_random_keys_are_carries_and_inputs():
    def draw(key, x):
        key, one = jax.random.split(key)
        return key, jax.random.normal(one) + jax.random.normal(x)

    key, xs = jax.random.key(0), jax.random.split(jax.random.key(1), 5)
    assert_same(rollout(draw, key, xs)[1], loop(draw, key, xs, 5)[1])
    assert_same(rollout(draw, key, xs, checkpoint_every=2)[1], loop(draw, key, xs, 5)[1])


def test_a_step_is_traced_once():
    traces = []

    def step(carry, x):
        traces.append(None)
        return carry + x, carry

    for _ in range(3):  # outside jit as well
        rollout(step, jnp.zeros(()), jnp.ones(4))
    assert len(traces) == 1


def test_no_steps_at_all():
    carry, ys = rollout(mixing, CARRY, jnp.ones((0, 2)))
    assert_same(carry, CARRY)
    assert ys[0].shape == (0, 3)
