"""Quantiles of the χ² distribution that also run under `jit` and `vmap`."""

import jax.numpy as jnp
from jax.scipy.special import gammainc, gammaincc, gammaln, ndtri
from jax.tree_util import Partial

from filters.gaussian import as_float_array
from sim import rollout

ITERATIONS = 6


def chi2_quantile(p, degrees):
    """x with P(χ² ≤ x) = p.

    Newton's method in log x on the logarithm of the smaller tail, which is concave in
    it, from the Wilson-Hilferty approximation.

    Args:
        p: a probability; 0 gives 0, and 1 gives infinity.
        degrees: degrees of freedom, any number of at least 0; 0 gives 0.

    Raises:
        ValueError: p is a number outside [0, 1].

    Reference: E. B. Wilson and M. M. Hilferty, PNAS 17 (1931) 684-688.

    >>> round(float(chi2_quantile(0.95, 3)), 6)
    7.814728
    """
    if isinstance(p, int | float) and not 0 <= p <= 1:
        raise ValueError(f"p: expected a probability, from 0 to 1, got {p}")
    p, degrees = as_float_array(p), as_float_array(degrees)
    dtype = jnp.promote_types(p.dtype, degrees.dtype)
    p, degrees = jnp.broadcast_arrays(p.astype(dtype), degrees.astype(dtype))
    within = (p > 0) & (p < 1) & (degrees > 0)
    q, k = jnp.where(within, p, 0.5), jnp.where(within, degrees, 1)
    spread = 2 / (9 * k)
    cube = k * (1 - spread + ndtri(q) * jnp.sqrt(spread)) ** 3
    # For few degrees the cube is poor: the lower tail is x^(k/2) / (2^(k/2) Γ(k/2 + 1)).
    small = 2 * jnp.exp((jnp.log(q) + gammaln(k / 2 + 1)) * 2 / k)
    start = jnp.log(jnp.where(q < 0.1, jnp.maximum(cube, small), cube) / 2)
    u, _ = rollout(Partial(_newton, (q, k / 2)), start, length=ITERATIONS)
    ends = jnp.where((p >= 1) & (degrees > 0), jnp.inf, 0)
    return jnp.where(within, 2 * jnp.exp(u), jnp.where(jnp.isnan(p), jnp.nan, ends))


def _newton(target, u, _):
    q, a = target
    x = jnp.exp(u)
    below = q < 0.5
    tail = jnp.where(below, gammainc(a, x), gammaincc(a, x))
    slope = jnp.exp(a * u - x - gammaln(a)) / tail  # |d log(tail) / du|
    off = jnp.log(tail) - jnp.log(jnp.where(below, q, 1 - q))
    return u + jnp.where(below, -off, off) / slope, None
