"""The integrators of the package, found by walking it, and a problem that is hard on each.

The problem is non-autonomous and nonlinear, so that a stage taken at the wrong time
or with a wrong weight shows; it is a pair with separable right-hand sides, so that
the symplectic methods apply; and its solution is known, because it was chosen first.
"""

import importlib
import pkgutil

import jax
import jax.numpy as jnp

import integrators
from integrators import OneStep


def methods():
    """Every OneStep of the package by name, the declared order with it."""
    found = {}
    for info in pkgutil.iter_modules(integrators.__path__):
        module = importlib.import_module(f"integrators.{info.name}")
        found |= {n: m for n, m in vars(module).items() if isinstance(m, OneStep)}
    return dict(sorted(found.items()))


METHODS = methods()


def exact(t):
    return (1.5 + jnp.sin(t), jnp.cos(2 * t))


def field(t, y, u):
    (q, v), (q_star, v_star) = y, exact(t)
    slope_q, slope_v = jax.jvp(exact, (t,), (jnp.ones_like(t),))[1]
    return (slope_q + 4 * (_bend(v) - _bend(v_star)), slope_v - 4 * (_bend(q) - _bend(q_star)))


def _bend(x):
    return x / (1 + x**2)
