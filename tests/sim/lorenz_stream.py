"""A driven Lorenz system that the tests of `stream` run, and a sink that keeps its records."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

DT = 0.01
N = 61


class Lorenz(NamedTuple):
    x: jax.Array
    y: jax.Array
    z: jax.Array


class Carry(NamedTuple):
    k: jax.Array
    state: Lorenz


def lorenz_rk4(params, carry, u):
    """Driven Lorenz, classic RK4: nonlinear, so that any rounding shows soon."""
    sigma, rho, beta = params
    h = DT

    def f(t, s):
        x, y, z = s
        return Lorenz(sigma * (y - x) + u * jnp.cos(t), x * (rho - z) - y, x * y - beta * z)

    def add(s, h, ds):
        return jax.tree.map(lambda a, b: a + h * b, s, ds)

    k, s = carry
    t = k.astype(s.x.dtype) * h
    k1 = f(t, s)
    k2 = f(t + h / 2, add(s, h / 2, k1))
    k3 = f(t + h / 2, add(s, h / 2, k2))
    k4 = f(t + h, add(s, h, k3))
    slope = jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4)
    s = add(s, h, slope)
    return Carry(k + 1, s), s


STEP = Partial(lorenz_rk4, (10.0, 28.0, 8 / 3))
MEMBERS = Partial(jax.vmap(STEP, (0, None)))
START = Carry(jnp.asarray(0), Lorenz(jnp.asarray(1.0), jnp.asarray(2.0), jnp.asarray(3.0)))
STARTS = Carry(jnp.zeros(3, int), Lorenz(*jnp.asarray([[1.0, 2, 3], [0, 1, 5], [-2, 0, 9]])))
U = np.random.default_rng(0).normal(size=N)


class Taken:
    """A sink that keeps everything and checks that records come without a gap."""

    def __init__(self):
        self.parts, self.count = [], 0

    def __call__(self, first, ys):
        assert first == self.count
        assert all(isinstance(y, np.ndarray) for y in jax.tree.leaves(ys))
        self.parts.append(ys)
        self.count += len(jax.tree.leaves(ys)[0])

    @property
    def ys(self):
        return jax.tree.map(lambda *parts: np.concatenate(parts), *self.parts)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)
