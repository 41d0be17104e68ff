"""Dtypes, axes and checks for the functions with scipy's signatures.

The checks look at numbers only where they are known (not under `jit`), in plain Python:
a few microseconds for a few sections, without the dispatch of JAX.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np

from filters.iir.numeric import ArgumentError

# A pole this near to the unit circle counts as on it: rounding moves a double pole so far.
ON_CIRCLE = 1e-7


def common_dtype(*arrays):
    """The common dtype of the arrays; integers count as floats."""
    dtype = np.result_type(*(numbers(a).dtype for a in arrays))
    if not np.issubdtype(dtype, np.inexact):
        dtype = np.float64
    return jax.dtypes.canonicalize_dtype(dtype)


def numbers(x):
    """x as an array: a JAX array as it is, anything else as a NumPy array.

    Raises:
        TypeError: x is not numeric, or has more bits than JAX supports.
    """
    if isinstance(x, jax.Array):
        return x
    x = np.asarray(x)
    if x.dtype.kind in "OSUMm" or x.dtype.char in "gG":
        raise TypeError(f"expected numbers of at most 64 bits (128 if complex), got {x.dtype}")
    return x


def signal(x, axis):
    """x as an array, and its axis of time counted from the front.

    Raises:
        ValueError: x does not have that axis.
    """
    x = jnp.asarray(numbers(x))
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis: expected one of the {x.ndim} axes of x, got {axis}")
    return x, axis % x.ndim


def sections(sos):
    """Second-order sections as an array (S, 6).

    Raises:
        ValueError: the shape is another, or a₀ ≠ 1 (checked where the numbers are known).

    Warns:
        UserWarning: sections given as numbers have poles outside the unit circle.
    """
    sos = numbers(sos)
    if sos.ndim != 2 or sos.shape[0] < 1 or sos.shape[1] != 6:
        raise ArgumentError("sos", f"expected an array of shape (sections, 6), got {sos.shape}")
    if isinstance(sos, jax.core.Tracer):
        return sos
    rows = np.asarray(sos).tolist()
    if any(row[3] != 1 for row in rows):
        got = [row[3] for row in rows]
        raise ArgumentError("sos", f"sos[:, 3] should be all ones, got {got}")
    if isinstance(sos, np.ndarray) and any(_outside(row[3:]) for row in rows):
        _warn([pole for row in rows for pole in np.roots(row[3:]).tolist()])
    return sos


def polynomials(b, a):
    """Numerator and denominator as vectors.

    Raises:
        ValueError: one is empty or no vector, or a₀ is 0 (checked where it is known).

    Warns:
        UserWarning: a denominator given as numbers has roots outside the unit circle.
    """
    b, a = (p.reshape(1) if p.ndim == 0 else p for p in (numbers(b), numbers(a)))
    for name, p in (("b", b), ("a", a)):
        if p.ndim != 1 or p.size == 0:
            raise ValueError(f"{name}: expected a vector of coefficients, got shape {p.shape}")
    if isinstance(a, jax.core.Tracer):
        return b, a
    known = np.asarray(a).tolist()
    if known[0] == 0:
        raise ValueError("a: expected a first coefficient other than 0, got 0")
    if isinstance(a, np.ndarray) and _outside(known):
        _warn(np.roots(known).tolist())
    return b, a


def _outside(a):
    """Whether a polynomial may have a root on or outside the unit circle.

    It has none if every reflection coefficient of the step-down recursion (Schur, Cohn)
    is below 1: for a section |a₂| < 1 and |a₁| < 1 + a₂, the stability triangle.

    >>> _outside([1.0, -1.9, 0.95]), _outside([1.0, -2.1, 1.05])
    (False, True)
    """
    if len(a) == 3 and not isinstance(a[1], complex):
        a0, a1, a2 = a
        return not (abs(a2) < abs(a0) and abs(a1) < abs(a0 + a2))
    a = [p / a[0] for p in a]
    while len(a) > 1:
        k = a[-1] / a[0]
        if not abs(k) < 1:
            return True
        a = [p - k * q.conjugate() for p, q in zip(a[:-1], a[:0:-1], strict=True)]
    return False


def _warn(poles):
    """Warn of poles outside the unit circle, at the line of the user's call."""
    outside = ", ".join(f"{p:.6g}" for p in poles if abs(p) > 1 + ON_CIRCLE)
    if outside:
        warnings.warn(f"unstable poles, outside the unit circle: {outside}", stacklevel=4)


def at_rest(n, x, axis, dtype):
    """Zero states (n, …channels) for a signal with time along the axis."""
    return jnp.zeros((n, *x.shape[:axis], *x.shape[axis + 1 :]), dtype)
