"""What the functions with scipy's signatures share: dtypes, axes, checks."""

import jax
import jax.numpy as jnp
import numpy as np


def common_dtype(*arrays):
    """The dtype of a result: that of the arrays together, whole numbers as floats."""
    dtype = np.result_type(*(jnp.asarray(a).dtype for a in arrays))
    if not np.issubdtype(dtype, np.inexact):
        dtype = np.float64
    return jax.dtypes.canonicalize_dtype(dtype)


def signal(x, axis):
    """x as an array, and the axis counted from the front.

    Raises:
        ValueError: x has no axes, or not that one.
    """
    x = jnp.asarray(x)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis: expected one of the {x.ndim} axes of x, got {axis}")
    return x, axis % x.ndim


def sections(sos):
    """Second-order sections as an array (S, 6).

    Raises:
        ValueError: another shape, or, where the numbers are known, a₀ ≠ 1.
    """
    sos = jnp.asarray(sos)
    if sos.ndim != 2 or sos.shape[0] < 1 or sos.shape[1] != 6:
        raise ValueError(f"sos: expected an array of shape (sections, 6), got {sos.shape}")
    if not isinstance(sos, jax.core.Tracer) and not np.all(np.asarray(sos[:, 3]) == 1):
        raise ValueError(f"sos: expected ones in column 3, got {np.asarray(sos[:, 3]).tolist()}")
    return sos


def at_rest(n, x, axis, dtype):
    """Zero states (n, …channels) for a signal with time along the axis."""
    return jnp.zeros((n, *x.shape[:axis], *x.shape[axis + 1 :]), dtype)
