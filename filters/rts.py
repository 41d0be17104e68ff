"""The Rauch-Tung-Striebel smoother, for every Gaussian filter."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from filters.covariance import symmetric
from filters.diffuse import DiffuseEstimate
from filters.gaussian import Estimate, Gaussian
from filters.manifold import both_or_none
from sim import Stepper
from sim.linalg import cho_solve, cholesky, matmul


class Smoothing(NamedTuple):
    """The carry of the smoother: the belief about the state a step later.

    Attributes:
        m, P: smoothed, a step later.
        m_pred, P_pred, C: its prediction by the filter.
    """

    m: Any
    P: Any
    m_pred: Any
    P_pred: Any
    C: Any


def rts(retract: Callable | None = None, local: Callable | None = None) -> Stepper:
    """The state given the whole record, by a backward pass over the estimates of a filter.

        G = Cₖ₊₁ (P⁻ₖ₊₁)⁻¹
        mˢₖ = mₖ + G (mˢₖ₊₁ − m⁻ₖ₊₁),   Pˢₖ = Pₖ + G (Pˢₖ₊₁ − P⁻ₖ₊₁) Gᵀ

    Args:
        retract, local: those of the model, for a state on a manifold: ``retract(m, dx)``
            is the state dx away from m, ``local(x, m)`` the dx that leads from m to x;
            None is m + dx and x − m.

    Returns:
        A stepper for ``rollout(..., reverse=True)``. ``init(estimates)`` takes the
        stacked `Estimate` of any Gaussian filter but the diffuse one; xs are those
        estimates. It emits the smoothed `Gaussian`;
        the last one is the filtered one. Where P⁻ is singular the result is NaN: give Q
        full rank, or use the square-root form.

    Raises:
        ValueError: only one of retract and local is given, or the estimates are those of
            `diffuse_kalman`, whose smoother is `diffuse_smoother`.

    Reference: H. E. Rauch, F. Tung and C. T. Striebel, AIAA Journal 3 (1965); S. Särkkä
    and L. Svensson, "Bayesian Filtering and Smoothing", 2nd ed., section 12.2.

    >>> from filters.kalman import LinearGaussian, kalman
    >>> from sim import rollout
    >>> walk = kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0]))
    >>> ys = jnp.array([[0.0], [jnp.nan], [3.0]])
    >>> _, estimates = rollout(walk.step, walk.init(Gaussian([0.0], [[1.0]])), ys)
    >>> smoother = rts()
    >>> _, smoothed = rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)
    >>> smoothed.m[:, 0].round(3).tolist()
    [0.545, 1.364, 2.182]
    """
    return Stepper(Partial(_init), Partial(_step, both_or_none("rts", retract, local)))


def smoother_gain(P_pred, C):
    """G = C (P⁻)⁻¹ (n, n), NaN where P⁻ is not positive definite.

    >>> smoother_gain(jnp.array([[4.0]]), jnp.array([[2.0]])).tolist()
    [[0.5]]
    """
    return cho_solve(cholesky(P_pred), C.T).T


def last_of(name: str, estimates: Estimate) -> Gaussian:
    """The last filtered belief; for an empty record arrays of its shape.

    Raises:
        ValueError: the estimates are those of a diffuse filter, which describe only the
            known part of the state.
    """
    if isinstance(estimates, DiffuseEstimate):
        raise ValueError(
            f"{name}: expected estimates of a whole state, got DiffuseEstimate, in which some of "
            "it may be unknown: its smoother is diffuse_smoother"
        )
    m, P = estimates.m, estimates.P
    if not len(m):
        m, P = (jnp.ones_like(a, shape=(1, *a.shape[1:])) for a in (m, P))
    return Gaussian(m[-1], P[-1])


def _init(estimates: Estimate) -> Smoothing:
    m, P = last_of("rts", estimates)
    # With C = 0 the first step returns the filtered state.
    return Smoothing(m, P, m, jnp.eye(P.shape[0], dtype=P.dtype), jnp.zeros_like(P))


def _step(manifold, later: Smoothing, now: Estimate):
    retract, local = manifold
    gain = smoother_gain(later.P_pred, later.C)
    learned = later.m - later.m_pred if local is None else local(later.m, later.m_pred)
    dx = gain @ learned
    m = now.m + dx if retract is None else retract(now.m, dx)
    P = now.P + symmetric(matmul(matmul(gain, later.P - later.P_pred), gain.T))
    return Smoothing(m, P, now.m_pred, now.P_pred, now.C), Gaussian(m, P)
