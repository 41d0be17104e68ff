"""The Kalman filter in square-root form: it carries a factor of the covariance."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.covariance import as_float_array
from filters.gaussian import LOG_2PI, Gaussian, check_observation, validate_prior
from filters.kalman import LinearGaussian, affine, at_step, plus, split, validate_model
from sim import Stepper
from sim.linalg import cholesky_semidefinite, matmul, triangularise


class SquareRootEstimate(NamedTuple):
    """The output of the square-root filter for a step.

    Attributes:
        m, P, m_pred, P_pred, C, innovation, S, loglik: as in `filters.gaussian.Estimate`.
        root, root_pred: lower triangular (n, n), P = root rootᵀ; the diagonal has any
            sign.
        shift, shrink, turn, rest: (n,), (n, n), (n, n) and (n, n), or (n, 2n) where n is
            above 12, for the smoother. With standard normal ε before, ξ at prediction,
            ε⁺ after and ζ beside,
            x⁻ = m⁻ + root_pred ξ,  ξ = shift + shrink ε⁺,  ε = turn ξ + rest ζ.

    Under `jit`, parts that are not used are neither computed nor stored.
    """

    m: Any
    P: Any
    m_pred: Any
    P_pred: Any
    C: Any
    innovation: Any
    S: Any
    loglik: Any
    root: Any
    root_pred: Any
    shift: Any
    shrink: Any
    turn: Any
    rest: Any


class SquareRootFiltering(NamedTuple):
    """The carry: mean (n,), factor of the covariance (n, n); ``fresh`` as in `Filtering`."""

    m: Any
    root: Any
    fresh: Any = None


def square_root_kalman(model: LinearGaussian) -> Stepper:
    """The Kalman filter that carries S with P = S Sᵀ, so that P is always a covariance.

        S⁻ = tria([F S, Q½])
        f = S⁻ᵀ h,  s = f·f + r,  m ← m + S⁻ f (yᵢ − h·m) / s,  S ← S⁻ C,  C Cᵀ = I − f fᵀ / s

    with h a row of H and r its variance, R made diagonal first, and the triangular C in
    closed form. It keeps twice the digits of the covariance form: use it in float32. Q, R
    and the prior may be singular. Along a change of their rank, or of F where the state is
    known exactly, the root has no derivative and the gradient is wrong, without a NaN: use
    `kalman` for it. Where observations without noise determine a state without noise
    (Q = R = 0), the rounding error counts as its variance.

    Args:
        model: as `filters.kalman.kalman` takes it.

    Returns:
        A stepper with the init and the input of `kalman`; it emits a
        `SquareRootEstimate`. A NaN component of y is missing.

    Raises:
        ValueError: shapes disagree, or Q, R or the prior is no covariance.

    Reference: N. A. Carlson, AIAA Journal 11 (1973); G. J. Bierman, "Factorization
    Methods for Discrete Sequential Estimation", Academic Press 1977, chapter V.

    >>> from sim import rollout
    >>> nile = square_root_kalman(LinearGaussian(F=[[1.0]], Q=[1469.1], H=[[1.0]], R=[15099.0]))
    >>> carry = nile.init(Gaussian([1120.0], [[1e7]]))
    >>> _, estimates = rollout(nile.step, carry, jnp.array([[1120.0], [1160.0], [963.0]]))
    >>> estimates.m[:, 0].round(1).tolist()
    [1120.0, 1140.9, 1072.8]
    """
    model = validate_model(model)
    return Stepper(Partial(_init, model.F), Partial(_step, model, root_of(model.Q)))


def _init(F, prior: Gaussian, on_first: bool = False) -> SquareRootFiltering:
    m, P = validate_prior(prior, F.shape[0])
    return SquareRootFiltering(m, root_of(P), jnp.asarray(True) if on_first else None)


def root_of(Q):
    """A factor of a covariance, or of the diagonal of one."""
    if Q.ndim == 2:
        return cholesky_semidefinite(Q)
    return jnp.diag(jnp.where(Q > 0, jnp.sqrt(jnp.where(Q > 0, Q, 1)), 0))


def _step(model, Q_root, carry: SquareRootFiltering, x):
    y, x = split(model, x)
    m, root, fresh = carry
    n, dtype = m.shape[0], m.dtype
    if "Q" in x:
        Q_root = root_of(as_float_array(x["Q"]))
    model = at_step(model, x, dtype)
    eye = jnp.eye(n, dtype=dtype)

    FS = matmul(model.F, root)
    m_pred = affine(model.F, m, model.B, x.get("u"), model.b)
    root_pred, turned = triangularise(
        jnp.concatenate([FS, Q_root.astype(dtype)], axis=1),
        jnp.concatenate([eye, jnp.zeros_like(eye)], axis=1),
    )
    turn, rest, before = turned[:, :n], turned[:, n:], root
    C = matmul(before, FS.T)
    if fresh is not None:
        unmoved = (m, root, eye, jnp.zeros_like(rest), matmul(root, root.T))
        moved = (m_pred, root_pred, turn, rest, C)
        m_pred, root_pred, turn, rest, C = (
            jnp.where(fresh, a, b) for a, b in zip(unmoved, moved, strict=True)
        )
        fresh = jnp.zeros_like(fresh)

    mu = affine(model.H, m_pred, model.D, x.get("u"), model.d)
    y = check_observation(y, mu)
    m, root, shift, shrink, loglik = update(
        m_pred, root_pred, model.H, model.R, y - mu, ~jnp.isnan(y)
    )
    HS = matmul(model.H, root_pred)
    estimate = SquareRootEstimate(
        m=m,
        P=matmul(root, root.T),
        m_pred=m_pred,
        P_pred=matmul(root_pred, root_pred.T),
        C=C,
        innovation=y - mu,
        S=plus(matmul(HS, HS.T), model.R),
        loglik=loglik,
        root=root,
        root_pred=root_pred,
        shift=shift,
        shrink=shrink,
        turn=turn,
        rest=rest,
    )
    return SquareRootFiltering(m, root, fresh), estimate


def update(m, root, H, R, innovation, seen):
    """Condition N(m, root rootᵀ) on the observed rows of an innovation (m,), one by one.

    Returns:
        The mean and factor after, shift and shrink of `SquareRootEstimate`, and the
        log-likelihood of those rows. A component that is known beforehand (its variance
        is zero) changes nothing and counts nothing.
    """
    v = jnp.where(seen, innovation, 0)
    H = jnp.where(seen[:, None], H, 0)
    H, v, variances = decorrelate(H, v, R, seen)
    n = m.shape[0]
    after, diagonal = np.tril(np.ones((n, n), bool), -1), np.eye(n, dtype=bool)
    shift, shrink = jnp.zeros_like(m), jnp.eye(n, dtype=m.dtype)
    start, loglik = m, jnp.zeros((), m.dtype)
    for i in range(v.shape[0]):
        f = jnp.sum(root * H[i][:, None], axis=0)
        # beyond_j = r + Σ f² over the columns after j, and alpha_j with that of j.
        beyond = variances[i] + jnp.sum(jnp.where(after, (f * f)[:, None], 0), axis=0)
        alpha = beyond + f * f
        s = variances[i] + jnp.sum(f * f)
        known = s <= 0
        z = (v[i] - H[i] @ (m - start)) * jnp.where(known, 0, 1 / jnp.sqrt(jnp.where(known, 1, s)))
        w = jnp.where(known, 0, f / jnp.sqrt(jnp.where(known, 1, s)))
        m = m + (root @ w) * z
        shift = shift + (shrink @ w) * z
        uncertain = beyond > 0
        inverse = jnp.where(uncertain, 1 / jnp.sqrt(jnp.where(uncertain, alpha, 1)), 0) * jnp.where(
            uncertain, 1 / jnp.sqrt(jnp.where(uncertain, beyond, 1)), 0
        )
        c = jnp.where(after, -f[:, None] * (f * inverse)[None], 0)
        c = c + jnp.where(diagonal, jnp.where(alpha > 0, beyond * inverse, 1)[None], 0)
        root, shrink = matmul(root, c), matmul(shrink, c)
        counts = seen[i] & ~known
        loglik = loglik - 0.5 * (
            z * z + jnp.where(counts, jnp.log(jnp.where(counts, s, 1)) + LOG_2PI, 0)
        )
    return m, root, shift, shrink, loglik


def decorrelate(H, v, R, seen):
    """H, v and the variances of independent noises, from R = U D Uᵀ with U unit lower.

    A missing row has variance one and no correlation with the others.
    """
    if R.ndim == 1:
        return H, v, jnp.where(seen, R, 1)
    R = jnp.where(seen[:, None] & seen[None], R, jnp.eye(R.shape[0], dtype=R.dtype))
    scale = 4 * R.shape[0] * float(jnp.finfo(R.dtype).eps) * jnp.diagonal(R)
    variances, later = [], np.arange(R.shape[0])
    for j in range(R.shape[0]):
        d = jnp.where(R[j, j] > scale[j], R[j, j], 0)
        u = jnp.where(later > j, R[:, j], 0) * jnp.where(d > 0, 1 / jnp.where(d > 0, d, 1), 0)
        H = H - u[:, None] * H[j][None]
        v = v - u * v[j]
        R = R - d * u[:, None] * u[None]
        variances.append(d)
    return H, v, jnp.stack(variances) if variances else jnp.zeros(0, R.dtype)
