"""Derivatives in both modes against differences, for the price of one compilation."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

# What is tested here stands in the trace: unoptimised it compiles in half the time.
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}


def quick(function, **statics):
    return jax.jit(function, compiler_options=QUICK, **statics)


def check_gradient(loss, at, h=1e-5, rtol=1e-6, atol=1e-7):
    """The slope of a loss by reverse and by forward mode, along one random direction."""
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, at))
    direction = np.random.default_rng(0).normal(size=flat.shape)
    direction = direction / np.linalg.norm(direction)

    @quick
    def both(e):
        """The modes share one linearisation, which is half the program."""
        value, slope = jax.linearize(lambda p: loss(unravel(p)), flat + e * direction)
        (gradient,) = jax.linear_transpose(slope, flat)(jnp.ones_like(value))
        return value, gradient @ direction, slope(direction)

    _, reverse, forward = both(jnp.zeros(()))
    difference = (both(jnp.asarray(h))[0] - both(jnp.asarray(-h))[0]) / (2 * h)
    np.testing.assert_allclose(reverse, difference, rtol=rtol, atol=atol)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9, atol=1e-9)
