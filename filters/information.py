"""The Kalman filter in information form, which may start from no information at all."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.covariance import as_float_array, check_semidefinite, symmetric
from filters.gaussian import Expected, Gaussian, check_observation, condition, validate_prior
from filters.kalman import LinearGaussian, affine, at_step, plus, split, validate_model
from filters.square_root import decorrelate, root_of
from sim import Stepper
from sim.linalg import (
    cho_solve,
    cholesky,
    matmul,
    solve_lower,
    triangularise,
)


class Information(NamedTuple):
    """A belief: the information Y = P⁻¹ (n, n) and z = Y m (n,). With Y = 0 nothing is known."""

    z: Any
    Y: Any


class InformationEstimate(NamedTuple):
    """The output of the information filter for a step.

    Attributes:
        m, P, m_pred, P_pred, C, innovation, S: as in `filters.gaussian.Estimate`; NaN
            while the information does not determine the state.
        loglik: log p(y | those before), constants included; 0 while that is improper.
        z, Y, z_pred, Y_pred: the information after and before the observation.
    """

    m: Any
    P: Any
    m_pred: Any
    P_pred: Any
    C: Any
    innovation: Any
    S: Any
    loglik: Any
    z: Any
    Y: Any
    z_pred: Any
    Y_pred: Any


class InformationFiltering(NamedTuple):
    """The carry: the information, and ``fresh`` as in `filters.gaussian.Filtering`."""

    z: Any
    Y: Any
    fresh: Any = None


def information(m, P) -> Information:
    """The information of a mean m (n,) and a positive definite covariance P (n, n).

        Y = P⁻¹,   z = Y m

    Raises:
        ValueError: P is no covariance, or one without an inverse.

    >>> information([1.0], [[4.0]]).Y.tolist()
    [[0.25]]
    """
    m, P = as_float_array(m), as_float_array(P)
    check_semidefinite("P", P)
    check_invertible("P", P)
    Y = symmetric(cho_solve(cholesky(P), jnp.eye(m.shape[0], dtype=P.dtype)))
    return Information(Y @ m, Y)


def information_kalman(model: LinearGaussian) -> Stepper:
    """The Kalman filter that carries Y = P⁻¹ and z = Y m.

        M = F⁻ᵀ Y F⁻¹,   J = M G (I + Gᵀ M G)⁻¹ with G Gᵀ = Q
        Y⁻ = (I − J Gᵀ) M (I − J Gᵀ)ᵀ + J Jᵀ,   z⁻ = (I − J Gᵀ) F⁻ᵀ z + Y⁻ (B u + b)
        Y = Y⁻ + Hᵀ R⁻¹ H,   z = z⁻ + Hᵀ R⁻¹ (y − D u − d)

    An observation adds its information, so those of many sensors sum. Y = 0, nothing
    known beforehand, is exact.

    Args:
        model: as `filters.kalman.kalman` takes it, F invertible and R positive definite;
            Q may be singular.

    Returns:
        A stepper: ``init(prior, on_first=False)`` takes an `Information`, or a `Gaussian`
        with a positive definite covariance. The input of its step is that of `kalman`;
        it emits an `InformationEstimate`, for `rts` from where the state is determined.

    Raises:
        ValueError: shapes disagree, Q, R or the prior is no covariance, or F, R or the
            covariance of the prior has no inverse.

    Where Q is singular, a gradient along a change of its rank is wrong, as it is for
    `filters.square_root.square_root_kalman`: use `kalman` for it.

    Reference: B. D. O. Anderson and J. B. Moore, "Optimal Filtering", Prentice-Hall
    1979, section 6.3.

    >>> from sim import rollout
    >>> level = information_kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0]))
    >>> carry = level.init(Information(z=[0.0], Y=[[0.0]]))
    >>> _, estimates = rollout(level.step, carry, jnp.array([[3.0], [6.0]]))
    >>> estimates.m.round(12).tolist(), estimates.loglik.round(3).tolist()
    ([[3.0], [5.0]], [0.0, -2.968])
    """
    model = validate_model(model)
    check_invertible("F", model.F)
    check_invertible("R", model.R)
    return Stepper(
        Partial(_init, model.F), Partial(_step, model, (inverse(model.F), root_of(model.Q)))
    )


def check_invertible(name, A):
    """Raise ValueError unless A (n, n), or a diagonal (n,), is invertible; a tracer passes."""
    if isinstance(A, jax.core.Tracer):
        return
    values = np.linalg.svd(A, compute_uv=False) if A.ndim == 2 else np.abs(A)
    least, most = values.min(initial=np.inf), values.max(initial=0.0)
    if least <= len(A) * np.finfo(A.dtype).eps * most:
        raise ValueError(
            f"{name}: expected an invertible matrix, as the information form needs, got one "
            f"whose least singular value is {least:.3g}"
        )


def inverse(F):
    """F⁻¹ by reflections, F Θ = L; stays in the loop for a small F."""
    eye = jnp.eye(F.shape[0], dtype=F.dtype)
    L, turned = triangularise(F, eye)
    return matmul(turned[:, : F.shape[0]], solve_lower(L, eye))


def _init(F, prior, on_first: bool = False) -> InformationFiltering:
    n = F.shape[0]
    if isinstance(prior, Gaussian):
        prior = validate_prior(prior, n)
        check_invertible("prior.P", prior.P)
        prior = information(*prior)
    z, Y = as_float_array(prior[0]), as_float_array(prior[1])
    if z.shape != (n,) or Y.shape != (n, n):
        raise ValueError(f"prior: expected z ({n},) and Y ({n}, {n}), got {z.shape} and {Y.shape}")
    check_semidefinite("prior.Y", Y)
    dtype = jnp.promote_types(z.dtype, Y.dtype)
    return InformationFiltering(
        z.astype(dtype), Y.astype(dtype), jnp.asarray(True) if on_first else None
    )


def _step(model, prepared, carry: InformationFiltering, x):
    y, x = split(model, x)
    z, Y, fresh = carry
    dtype, n = z.dtype, z.shape[0]
    back = inverse(as_float_array(x["F"])) if "F" in x else prepared[0]
    G = root_of(as_float_array(x["Q"])) if "Q" in x else prepared[1]
    model, back, G = at_step(model, x, dtype), back.astype(dtype), G.astype(dtype)
    eye = jnp.eye(n, dtype=dtype)

    m_old, P_old, determined = _moments(z, Y)
    M = symmetric(matmul(matmul(back.T, Y), back))
    MG = matmul(M, G)
    J = cho_solve(cholesky(eye + symmetric(matmul(G.T, MG))), MG.T).T
    keep = eye - matmul(J, G.T)
    Y_pred = symmetric(matmul(matmul(keep, M), keep.T)) + matmul(J, J.T)
    # From the mean where there is one: with accurate sensors the other form cancels digits.
    moved = jnp.where(determined, m_old, 0)
    z_pred = Y_pred @ affine(model.F, moved, model.B, x.get("u"), model.b)
    z_pred = z_pred + jnp.where(determined, 0, keep @ (back.T @ z))
    if fresh is not None:
        z_pred, Y_pred = jnp.where(fresh, z, z_pred), jnp.where(fresh, Y, Y_pred)

    offset = affine(model.H, jnp.zeros_like(z), model.D, x.get("u"), model.d)
    y = check_observation(y, offset)
    seen = ~jnp.isnan(y)
    H = jnp.where(seen[:, None], model.H, 0)
    v = jnp.where(seen, y - offset, 0)
    H, v, variances = decorrelate(H, v, model.R, seen)
    weighed = H / variances[:, None]
    z, Y = z_pred + weighed.T @ v, symmetric(Y_pred + matmul(weighed.T, H))

    m_pred, P_pred, known = _moments(z_pred, Y_pred)
    m, P, _ = _moments(z, Y)
    # As in the covariance form: with accurate sensors the difference of Y cancels digits.
    innovation = y - offset - model.H @ m_pred
    HP = matmul(model.H, jnp.where(known, P_pred, eye))
    S = plus(symmetric(matmul(HP, model.H.T)), model.R)
    v_known = jnp.where(known, innovation, jnp.nan)
    centred = Expected(jnp.zeros_like(offset), S, HP.T)
    loglik = condition(Gaussian(jnp.zeros_like(z), eye), centred, v_known)[1]
    # NaN shows a failure; it does not mean that nothing is known.
    loglik = jnp.where(known, loglik, 0) + 0 * (jnp.sum(jnp.diagonal(Y)) + jnp.sum(z))
    C = matmul(P_old, model.F.T)
    if fresh is not None:
        C = jnp.where(fresh, P_pred, C)
        fresh = jnp.zeros_like(fresh)
    S = jnp.where(known, S, jnp.nan)
    estimate = InformationEstimate(
        m, P, m_pred, P_pred, C, innovation, S, loglik, z, Y, z_pred, Y_pred
    )
    return InformationFiltering(z, Y, fresh), estimate


def _regularise(Y):
    """Whether Y is regular well beyond its rounding, and Y, or the identity if it is not."""
    least = 1e3 * Y.shape[0] * float(jnp.finfo(Y.dtype).eps) * jnp.diagonal(Y)
    # Where the factor does not exist it holds NaN, and the comparison is False.
    pivots = jnp.diagonal(cholesky(jax.lax.stop_gradient(Y))) ** 2
    regular = jnp.all(pivots > least)
    return regular, jnp.where(regular, Y, jnp.eye(Y.shape[0], dtype=Y.dtype))


def _moments(z, Y):
    """Mean and covariance (NaN where Y is singular), and whether it is regular."""
    regular, Y = _regularise(Y)
    L = cholesky(Y)
    P = symmetric(cho_solve(L, jnp.eye(Y.shape[0], dtype=Y.dtype)))
    nan = jnp.asarray(jnp.nan, Y.dtype)
    return (
        jnp.where(regular, cho_solve(L, z), nan),
        jnp.where(regular, P, nan),
        regular,
    )
