"""Steps that the tests of `rollout` drive, and how they compare results."""

import jax
import jax.numpy as jnp
import numpy as np


def mixing(carry, x):
    """A nonlinear step over nested trees, in which every leaf touches every other."""
    a = jnp.sin(carry["a"]) + 0.1 * jnp.sum(carry["b"][0])
    b = carry["b"][0] * 0.9 + jnp.cos(a[0])
    if x is not None:
        a = a + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(x))
    return {"a": a, "b": (b, carry["b"][1] + 1)}, (a, {"b": b * 2})


def loop(step, carry, xs, length, reverse=False):
    ys = []
    for k in reversed(range(length)) if reverse else range(length):
        carry, y = step(carry, jax.tree.map(lambda leaf, k=k: leaf[k], xs))
        ys.append(y)
    ys = ys[::-1] if reverse else ys
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *ys)


def assert_same(a, b, rtol=1e-14):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-15), a, b)


def assert_bits(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


CARRY = {"a": jnp.linspace(0.1, 0.5, 3), "b": (jnp.ones((2, 2)) * 0.3, jnp.asarray(0))}


def relax(theta, c, x):
    c = c + theta["rate"] * (jnp.tanh(theta["gain"] * x) - c)
    return c, c**2


THETA = {"rate": jnp.asarray(0.3), "gain": jnp.asarray(1.7)}
XS = jnp.linspace(-1.0, 2.0, 11)
