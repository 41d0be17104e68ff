"""Roots of polynomials, with derivatives."""

import jax
import jax.numpy as jnp
import numpy as np

from filters.iir.numeric import arithmetic


def roots(c):
    """The n roots of c₀xⁿ + … + cₙ, c₀ ≠ 0; their derivatives are those of simple roots.

    >>> roots(np.array([1.0, 0.0, -4.0])).round(6).tolist()
    [-2.0, 2.0]
    """
    return np.roots(c) if arithmetic(c).xp is np else _roots(c)


def _find(c):
    ar = arithmetic(c)
    if len(c) < 2:
        return jnp.zeros(0, ar.complex_dtype)
    return jnp.roots(ar.complex(c), strip_zeros=False)


def _tangent(primals, tangents):
    """From c(r) = 0: dr = −dc(r) / c′(r)."""
    (c,), (dc,) = primals, tangents
    ar = arithmetic(c)
    r, n = _roots(c), len(c) - 1
    c, dc = ar.complex(c), ar.complex(dc)
    powers = jnp.vander(r, n + 1)
    slopes = powers[:, 1:] @ (c[:-1] * ar.complex(np.arange(n, 0, -1)))
    return r, -(powers @ dc) / slopes


_roots = jax.custom_jvp(_find)
_roots.defjvp(_tangent)


def quadratic(ar, c):
    """The roots (n, 2) of n polynomials (n, 3) of degree 2 at most, and their leading
    coefficients (n,). Roots that a lower degree lacks are 0.

    >>> from filters.iir.numeric import arithmetic
    >>> quadratic(arithmetic(), np.array([[1.0, -3.0, 2.0], [0.0, 2.0, -1.0]]))[0].real.tolist()
    [[2.0, 1.0], [0.5, 0.0]]
    """
    xp = ar.xp
    c0, c1, c2 = c[:, 0], c[:, 1], c[:, 2]
    line, flat = c0 == 0, (c0 == 0) & (c1 == 0)
    one, zero = xp.ones_like(c0), xp.zeros_like(c0)
    lead = xp.where(flat, c2, xp.where(line, c1, c0))
    first = xp.where(flat, zero, -c2 / xp.where(line & ~flat, c1, one))

    a = xp.where(line, one, c0)
    h = -c1 / (2 * a)
    d = h * h - c2 / a
    # Selected before the root: no NaN reaches a gradient.
    s = xp.where(d == 0, zero, xp.sqrt(xp.where(d == 0, one, xp.abs(d))))
    far = xp.where(h < 0, h - s, h + s)  # adds up, cancels nothing
    near = xp.where(far == 0, zero, c2 / a / xp.where(far == 0, one, far))
    turns = d < 0
    re = xp.stack([xp.where(turns, h, far), xp.where(turns, h, near)], axis=1)
    im = xp.stack([xp.where(turns, s, zero), xp.where(turns, -s, zero)], axis=1)
    re_line = xp.stack([first, zero], axis=1)
    short = line[:, None]
    return ar.rect(xp.where(short, re_line, re), xp.where(short, xp.zeros_like(im), im)), lead
