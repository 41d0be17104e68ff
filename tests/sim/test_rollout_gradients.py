"""Gradients through `rollout`, and the memory that they need."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial

from sim import repeat, rollout
from tests.sim.steps import CARRY, THETA, XS, assert_same, mixing, relax


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("every", [1, 3, 4, 12, 50])
def test_checkpointing_changes_nothing_but_memory(every, reverse):
    xs = jnp.linspace(-1, 1, 24).reshape(12, 2)
    plain = rollout(mixing, CARRY, xs, reverse=reverse)
    kept = rollout(mixing, CARRY, xs, reverse=reverse, checkpoint_every=every)
    assert_same(plain, kept)

    def loss(xs, **options):
        carry, ys = rollout(mixing, CARRY, xs, reverse=reverse, **options)
        return jnp.sum(ys[0] ** 2) + jnp.sum(carry["b"][0])

    expected = jax.grad(loss)(xs)
    np.testing.assert_allclose(
        jax.grad(lambda xs: loss(xs, checkpoint_every=every))(xs), expected, rtol=1e-12
    )


def test_checkpoints_bound_the_memory_of_a_gradient():
    def memory(every):
        def loss(x):
            return rollout(
                lambda c, _: (jnp.sin(c) * x, None),
                jnp.ones(64),
                length=4096,
                checkpoint_every=every,
            )[0].sum()

        compiled = jax.jit(jax.grad(loss)).lower(0.9).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole, segments = memory(None), memory(64)
    assert whole > 4096 * 64 * 8
    assert segments < whole / 10


@pytest.mark.parametrize("n", [1, 64])
def test_a_gradient_stores_the_carries_and_nothing_from_inside_a_step(n):
    # Ten sines would each leave a cosine behind; a carry is kept once per emission.
    def loss(x):
        def step(c, _):
            for _ in range(10):
                c = jnp.sin(x * c)
            return c, None

        return rollout(repeat(step, n), jnp.ones(64), length=4096 // n)[0].sum()

    compiled = jax.jit(jax.grad(loss)).lower(0.9).compile()
    carries = (4096 // n + (n if n > 1 else 0)) * 64 * 8
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * carries


@pytest.mark.parametrize("terms, products", [(127, 4), (128, 3)])
def test_a_gradient_keeps_large_products_instead_of_making_them_again(terms, products):
    # One forward, one for the slope of the state, one for that of the matrix; and one again.
    def loss(x):
        return rollout(lambda c, _: (jnp.sin(c @ x), None), jnp.ones((2, terms)), length=3)[0].sum()

    lines = str(jax.make_jaxpr(jax.grad(loss))(jnp.eye(terms)))
    assert lines.count("dot_general[") == products


def test_checkpoints_bound_the_memory_of_large_products_too():
    def memory(every):
        def loss(x):
            return rollout(
                lambda c, _: (jnp.sin(c @ x), None),
                jnp.ones(128),
                length=4096,
                checkpoint_every=every,
            )[0].sum()

        compiled = jax.jit(jax.grad(loss)).lower(jnp.eye(128)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(64) < memory(None) / 5


def loss(theta, c0, xs):
    carry, ys = rollout(Partial(relax, theta), c0, xs)
    return jnp.sum(ys) + carry


def test_gradients_of_parameters_carry_and_inputs():
    args = (THETA, jnp.asarray(0.2), XS)
    reverse = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*args)
    forward = jax.jit(jax.jacfwd(loss, argnums=(0, 1, 2)))(*args)
    assert_same(reverse, forward, rtol=1e-12)
    h, value = 1e-6, jax.jit(loss)
    flat, unravel = ravel_pytree(args)
    differences = [
        (value(*unravel(flat + h * e)) - value(*unravel(flat - h * e))) / (2 * h)
        for e in jnp.eye(len(flat))
    ]
    gradient = ravel_pytree(reverse)[0]
    np.testing.assert_allclose(gradient, differences, rtol=1e-7, atol=1e-9)
    hessian = jax.hessian(loss, argnums=1)(*args)
    assert np.isfinite(hessian)
