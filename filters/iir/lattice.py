"""Polynomials and their reflection coefficients, the two forms of an all-pole filter."""

import jax.numpy as jnp

from filters.iir.arrays import common_dtype


def step_up(k):
    """The polynomial with given reflection coefficients.

        Aₘ(z) = Aₘ₋₁(z) + kₘ z⁻ᵐ Aₘ₋₁(1/z),   A₀ = 1

    Its roots are inside the unit circle if and only if every |kₘ| < 1 (Schur, Cohn).

    Args:
        k: (N,) reflection coefficients.

    Returns:
        a (N + 1,), with a₀ = 1 and a_N = k_N.

    Raises:
        ValueError: k is no vector.

    Reference: J. D. Markel and A. H. Gray, *Linear Prediction of Speech*, Springer 1976,
    section 5.1.

    >>> step_up([0.5, 0.25]).tolist()
    [1.0, 0.625, 0.25]
    """
    k = vector("k", k)
    a = jnp.ones(1, k.dtype)
    for m in range(len(k)):
        a = jnp.pad(a, (0, 1))
        a = a + k[m] * a[::-1]
    return a


def step_down(a):
    """The reflection coefficients of a polynomial, the inverse of `step_up`.

        kₘ = aₘ⁽ᵐ⁾,   Aₘ₋₁(z) = (Aₘ(z) − kₘ z⁻ᵐ Aₘ(1/z)) / (1 − kₘ²)

    Args:
        a: (N + 1,), a₀ ≠ 0; it is divided by a₀.

    Returns:
        k (N,). One of absolute value 1 or more shows a root on or outside the unit
        circle; those before it then have no meaning, and may not be finite.

    Raises:
        ValueError: a is no vector.

    Reference: as `step_up`.

    >>> step_down([1.0, 0.625, 0.25]).tolist()
    [0.5, 0.25]
    """
    a = vector("a", a)
    a, k = a / a[0], []
    for m in range(len(a) - 1, 0, -1):
        k.append(a[m])
        a = (a - a[m] * a[::-1])[:m] / (1 - a[m] * a[m])
    return jnp.stack(k[::-1]) if k else a[:0]


def vector(name, x):
    """x as a real floating-point vector; ValueError unless it is one."""
    x = jnp.asarray(x)
    if x.ndim != 1 or (name in ("a", "b") and len(x) == 0):
        raise ValueError(f"{name}: expected a vector of coefficients, got shape {x.shape}")
    return real(name, x)


def real(name, x):
    """x in floating point.

    Raises:
        ValueError: x is complex.
    """
    if jnp.iscomplexobj(x):
        raise ValueError(f"{name}: expected real numbers, got {x.dtype}")
    return x.astype(common_dtype(x))
