"""The Kalman filter from a prior that is partly unknown: exact diffuse initialisation."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.covariance import as_float_array, symmetric
from filters.gaussian import LOG_2PI, Gaussian, check_observation, validate_prior
from filters.kalman import LinearGaussian, affine, at_step, plus, split, validate_model
from sim import Stepper
from sim.linalg import matmul


class DiffuseEstimate(NamedTuple):
    """What the diffuse filter emits for a step.

    Attributes:
        m, P, m_pred, P_pred, C, innovation, S, loglik: as in `filters.gaussian.Estimate`,
            of the part of the state that is known; all of it once ``spread`` is zero.
        spread: (n, q), the directions still unknown: covariance P + κ spread spreadᵀ, κ → ∞.
        spent: how many components of y were used to find a direction.
        spread_pred, F, H, v, s, known, unknown, K, K1: what `diffuse_smoother` needs.

    ``loglik`` counts the constant ½ log 2π for every component; to leave it out for
    those spent, as some books do, add ½ log 2π · spent.
    """

    m: Any
    P: Any
    m_pred: Any
    P_pred: Any
    C: Any
    innovation: Any
    S: Any
    loglik: Any
    spread: Any
    spent: Any
    spread_pred: Any
    F: Any
    H: Any
    v: Any
    s: Any
    known: Any
    unknown: Any
    K: Any
    K1: Any


class DiffuseFiltering(NamedTuple):
    """The carry: m (n,), P (n, n), spread (n, q), how many are still unknown, and ``fresh``."""

    m: Any
    P: Any
    spread: Any
    left: Any
    fresh: Any = None


def diffuse_kalman(model: LinearGaussian) -> Stepper:
    """The Kalman filter in the limit κ → ∞ of a prior covariance P + κ A Aᵀ.

    One scalar of y at a time, with h its row: where f = Aᵀ h is not zero,

        K = A f / f·f,   m ← m + K v,   P ← (I − K hᵀ) P (I − K hᵀ)ᵀ + K r Kᵀ,
        A ← A − K fᵀ,   log-likelihood −½ log 2π (f·f)

    and the ordinary update where it is. So a level, a trend or a season needs no large
    prior variance, and loses no digits to one.

    Args:
        model: as `filters.kalman.kalman` takes it.

    Returns:
        A stepper: ``init(prior, diffuse=None, on_first=False)``. ``prior`` is a `Gaussian`,
        ``diffuse`` a tuple of n bools, the components about which it says nothing, or
        their directions A (n, q) of full rank; None is all. The input of its step is
        that of `kalman`; it emits a `DiffuseEstimate`.

    Raises:
        ValueError: shapes disagree, or Q, R or the prior is no covariance.

    Reference: S. J. Koopman and J. Durbin, Journal of Time Series Analysis 21 (2000);
    J. Durbin and S. J. Koopman, "Time Series Analysis by State Space Methods", 2nd ed.,
    Oxford 2012, chapters 5 and 6.4.

    >>> from sim import rollout
    >>> level = diffuse_kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0]))
    >>> carry = level.init(Gaussian([0.0], [[0.0]]))
    >>> _, estimates = rollout(level.step, carry, jnp.array([[3.0], [6.0]]))
    >>> estimates.m.round(12).tolist(), estimates.loglik.round(3).tolist()
    ([[3.0], [5.0]], [-0.919, -2.968])
    """
    model = validate_model(model)
    return Stepper(Partial(_init, model.F), Partial(_step, model))


def _init(F, prior: Gaussian, diffuse=None, on_first: bool = False) -> DiffuseFiltering:
    n = F.shape[0]
    m, P = validate_prior(prior, n)
    if diffuse is None:
        diffuse = (True,) * n
    if np.ndim(diffuse) == 1:
        mask = np.asarray(diffuse)
        if mask.shape != (n,) or mask.dtype != bool:
            raise ValueError(f"diffuse: expected {n} bools or (n, q) directions, got {diffuse!r}")
        diffuse = np.eye(n)[:, mask]
    spread = as_float_array(diffuse).astype(m.dtype)
    if spread.ndim != 2 or spread.shape[0] != n or spread.shape[1] > n:
        raise ValueError(f"diffuse: expected {n} bools or (n, q) directions, got {spread.shape}")
    left = jnp.asarray(spread.shape[1])
    fresh = jnp.asarray(True) if on_first else None
    return DiffuseFiltering(m, P, spread, left, fresh)


def _step(model, carry: DiffuseFiltering, x):
    y, x = split(model, x)
    m, P, A, left, fresh = carry
    dtype, n = m.dtype, m.shape[0]
    model = at_step(model, x, dtype)
    F, H, known_before = model.F, model.H, P
    moved = (
        affine(F, m, model.B, x.get("u"), model.b),
        plus(symmetric(matmul(matmul(F, P), F.T)), model.Q),
        _zero_rounding(matmul(F, A), matmul(abs(F), abs(A))),
        F,
    )
    if fresh is not None:
        unmoved = (m, P, A, jnp.eye(n, dtype=dtype))
        moved = tuple(jnp.where(fresh, a, b) for a, b in zip(unmoved, moved, strict=True))
        fresh = jnp.zeros_like(fresh)
    m_pred, P_pred, A_pred, F = moved
    mu = affine(H, m_pred, model.D, x.get("u"), model.d)
    y = check_observation(y, mu)

    # State and observation together: a correlated R then needs no special treatment.
    C = matmul(P_pred, H.T)
    S = plus(symmetric(matmul(H, C)), model.R)
    joint = (
        jnp.concatenate([m_pred, mu]),
        jnp.concatenate([jnp.concatenate([P_pred, C], 1), jnp.concatenate([C.T, S], 1)]),
        jnp.concatenate([A_pred, matmul(H, A_pred)]),
    )
    rows, total, spent = [], jnp.zeros((), dtype), jnp.zeros_like(left)
    for i in range(y.shape[0]):
        joint, log, row = _condition(joint, n + i, y[i], left - spent, H[i])
        total, spent = total + log, spent + (row[3] > 0).astype(left.dtype)
        rows.append(row)
    (m, P, A), size = joint, n + y.shape[0]
    # A direction that is found becomes exactly zero, and does not grow back from rounding.
    A = jnp.where(left > spent, A[:n], 0)
    empty = [jnp.zeros((0, *shape), dtype) for shape in ((), (), (), (), (size,), (size,))]
    rows = map(jnp.stack, zip(*rows, strict=True)) if rows else empty
    estimate = DiffuseEstimate(
        m[:n],
        symmetric(P[:n, :n]),
        m_pred,
        P_pred,
        matmul(known_before, F.T),
        y - mu,
        S,
        total,
        A,
        spent,
        A_pred,
        F,
        H,
        *rows,
    )
    return DiffuseFiltering(estimate.m, estimate.P, A, left - spent, fresh), estimate


def _condition(joint, at, y, left, h):
    """One scalar of y, at its place in the joint vector of state and observation.

    Returns the joint moments after it, its log-likelihood, and a row for the smoother:
    v, F*, 1/F*, 1/F∞, K, K1, where one reciprocal is 0, or both if it tells nothing.
    """
    mean, P, A = joint
    dtype = mean.dtype
    f, M, s = A[at], P[:, at], P[at, at]
    square = jnp.sum(f * f)
    least = float(jnp.finfo(dtype).eps) ** 1.5 * jnp.sum(h * h) * jnp.sum(A * A)
    seen = ~jnp.isnan(y)
    diffuse = seen & (left > 0) & (square > least)
    proper = seen & ~diffuse & (s > 0)
    v = jnp.where(seen, y - mean[at], 0)
    by_square = jnp.where(diffuse, 1 / jnp.where(diffuse, square, 1), 0)
    by_s = jnp.where(proper, 1 / jnp.where(proper, s, 1), 0)
    K = jnp.where(diffuse, jnp.sum(A * f[None], axis=1) * by_square, M * by_s)
    K1 = (M - K * s) * by_square
    down = K[:, None] * M[None]
    across = jnp.where(diffuse, s * K[:, None] * K[None] - down - down.T, -symmetric(down))
    variance = jnp.where(diffuse, square, jnp.where(proper, s, 1))
    counts = jnp.where(diffuse | proper, LOG_2PI + jnp.log(variance), 0)
    part = K[:, None] * f[None]
    A = jnp.where(diffuse, _zero_rounding(A - part, abs(A) + abs(part)), A)
    loglik = -0.5 * (v * v * by_s + counts)
    return (mean + K * v, P + across, A), loglik, (v, s, by_s, by_square, K, K1)


def _zero_rounding(A, size):
    """A, set to 0 where its terms cancel; ``size`` is the sum of their absolute values.

    The rounding error of a direction that is found, or that F maps to zero, is no direction.
    """
    return jnp.where(abs(A) <= 64 * float(jnp.finfo(A.dtype).eps) * size, 0, A)
