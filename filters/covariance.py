"""Covariances: exactly symmetric, and checked where their values are known."""

import jax.numpy as jnp
import numpy as np


def as_float_array(x):
    """x as an array of floats; whole numbers become the default float."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


def symmetric(P):
    """(P + Pᵀ) / 2, of the first two axes."""
    return 0.5 * (P + jnp.swapaxes(P, 0, 1))


def check_definite(name, Q, H, R):
    """Raise ValueError unless H Q Hᵀ + R is regular beyond rounding; tracers pass.

    It is the covariance of an observation given the state a step before.
    """
    try:
        eps = float(jnp.finfo(Q.dtype).eps)
        Q, H, R = (np.asarray(a, float) for a in (Q, H, R))
    except Exception:  # a tracer: its numbers are not known yet
        return
    Q, R = (np.diag(a) if a.ndim == 1 else a for a in (Q, R))
    S = H @ Q @ H.T + R
    scale = np.sqrt(np.diagonal(S))
    scale = np.where(scale > 0, scale, 1)
    least = np.linalg.eigvalsh(S / scale[:, None] / scale).min(initial=1.0)
    if least <= 8 * max(H.shape) * eps:
        raise ValueError(
            f"{name}: expected H Q Hᵀ + R, the noise of an observation given the state a step "
            f"before, to be positive definite, got a singular {S.tolist()}: give R or Q full rank"
        )


def check_semidefinite(name, P):
    """Raise ValueError unless P (…, n, n), or a diagonal (…, n), is a covariance; tracers pass."""
    try:
        eps, P = float(jnp.finfo(P.dtype).eps), np.asarray(P, float)
    except Exception:  # a tracer: its numbers are not known yet
        return
    if not np.all(np.isfinite(P)):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    square = P.ndim >= 2 and P.shape[-1] == P.shape[-2]
    variances = np.diagonal(P, axis1=-2, axis2=-1) if square else P
    if P.size == 0:
        return
    rounding = 8 * P.shape[-1] * eps * variances.max(axis=-1, keepdims=True)
    if np.any(variances < -rounding * square):
        raise ValueError(f"{name}: expected variances of at least 0, got {variances.min():.3g}")
    if not square:
        return
    # In units of each standard deviation, so that small components are checked as well.
    scale = np.sqrt(np.maximum(variances, rounding))
    scale = np.where(scale > 0, scale, 1)
    P_unit = P / scale[..., :, None] / scale[..., None, :]
    if not np.allclose(P_unit, np.swapaxes(P_unit, -1, -2), rtol=0, atol=1e-6):
        raise ValueError(f"{name}: expected a symmetric matrix, got {P.tolist()}")
    if np.linalg.eigvalsh(P_unit).min() < -1e-6 * P.shape[-1]:
        least = np.linalg.eigvalsh(P).min()
        raise ValueError(
            f"{name}: expected a positive semi-definite matrix, got an eigenvalue {least:.3g}"
        )
