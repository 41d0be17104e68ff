"""The smoother of the exact diffuse filter."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from filters.covariance import symmetric
from filters.diffuse import DiffuseEstimate
from filters.gaussian import Gaussian
from sim import Stepper
from sim.linalg import matmul


class DiffuseSmoothing(NamedTuple):
    """The carry: the weighted sum of the later innovations, r = r₀ + r₁ / κ, and its covariance.

    Attributes:
        r0, r1: (n,).
        N0, N1, N2: (n, n), N = N₀ + N₁ / κ + N₂ / κ².
    """

    r0: Any
    r1: Any
    N0: Any
    N1: Any
    N2: Any


def diffuse_smoother() -> Stepper:
    """The state given the whole record, for `diffuse_kalman`; no inverse of a covariance.

        mˢ = m⁻ + P⁻ r₀ + A Aᵀ r₁
        Pˢ = P⁻ − P⁻ N₀ P⁻ − A Aᵀ N₁ P⁻ − (A Aᵀ N₁ P⁻)ᵀ − A Aᵀ N₂ A Aᵀ

    Returns:
        A stepper for ``rollout(..., reverse=True)``: ``init(estimates)`` takes the
        stacked estimates of `diffuse_kalman`, and so do its xs. It emits a `Gaussian`.
        A direction that no observation determines keeps the covariance of its known part.

    Reference: S. J. Koopman and J. Durbin, "Fast filtering and smoothing for
    multivariate state space models", Journal of Time Series Analysis 21 (2000).

    >>> from filters.diffuse import diffuse_kalman
    >>> from filters.kalman import LinearGaussian
    >>> from sim import rollout
    >>> level = diffuse_kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0]))
    >>> ys = jnp.array([[3.0], [6.0]])
    >>> _, estimates = rollout(level.step, level.init(Gaussian([0.0], [[0.0]])), ys)
    >>> smoother = diffuse_smoother()
    >>> _, smoothed = rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)
    >>> smoothed.m[:, 0].round(12).tolist()
    [4.0, 5.0]
    """
    return Stepper(Partial(_init), Partial(_step))


def _init(estimates: DiffuseEstimate) -> DiffuseSmoothing:
    r, N = (jnp.zeros_like(a, shape=a.shape[1:]) for a in (estimates.m, estimates.P))
    return DiffuseSmoothing(r, r, N, N, N)


def _step(later: DiffuseSmoothing, now: DiffuseEstimate):
    n, m = now.m.shape[0], now.v.shape[0]
    r0, r1 = (jnp.pad(r, (0, m)) for r in later[:2])
    N0, N1, N2 = (jnp.pad(N, (0, m)) for N in later[2:])
    eye = jnp.eye(n + m, dtype=r0.dtype)
    for i in reversed(range(m)):
        e = eye[n + i]
        K, K1, v, known, unknown = now.K[i], now.K1[i], now.v[i], now.known[i], now.unknown[i]
        r1 = r1 + e * (v * unknown - K @ r1 - K1 @ r0)
        r0 = r0 + e * (v * known - K @ r0)
        # L = I − K eᵀ + K1' eᵀ/κ, so that L₁ = −K1 eᵀ.
        ee, L, L1 = e[:, None] * e[None], eye - K[:, None] * e[None], -K1[:, None] * e[None]
        N0L, N1L = matmul(N0, L), matmul(N1, L)
        cross = matmul(L1.T, N1L)
        N2 = (
            matmul(matmul(L.T, N2), L)
            + cross
            + cross.T
            + matmul(matmul(L1.T, N0), L1)
            - ee * now.s[i] * unknown**2
        )
        cross = matmul(L1.T, N0L)
        N1 = matmul(L.T, N1L) + cross + cross.T + ee * unknown
        N0 = matmul(L.T, N0L) + ee * known
    G = jnp.concatenate([jnp.eye(n, dtype=r0.dtype), now.H])
    r0, r1 = (G.T @ r for r in (r0, r1))
    N0, N1, N2 = (symmetric(matmul(matmul(G.T, N), G)) for N in (N0, N1, N2))

    P, U = now.P_pred, matmul(now.spread_pred, now.spread_pred.T)
    mean = now.m_pred + P @ r0 + U @ r1
    across = matmul(matmul(U, N1), P)
    P = P - matmul(matmul(P, N0), P) - across - across.T - matmul(matmul(U, N2), U)
    F = now.F
    back = (matmul(matmul(F.T, N), F) for N in (N0, N1, N2))
    return DiffuseSmoothing(F.T @ r0, F.T @ r1, *back), Gaussian(mean, symmetric(P))
