"""The Rauch-Tung-Striebel smoother, for every Gaussian filter."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from filters.gaussian import Estimate, Gaussian, symmetric
from sim import Stepper
from sim.linalg import cho_solve, cholesky, matmul


class Smoothing(NamedTuple):
    """The carry of the smoother: what is known of the state a step later.

    Attributes:
        m, P: smoothed, a step later.
        m_pred, P_pred, C: what the filter said of it beforehand.
    """

    m: Any
    P: Any
    m_pred: Any
    P_pred: Any
    C: Any


def rts() -> Stepper:
    """The state given the whole record, by running back over the filter's estimates.

        G = Cₖ₊₁ (P⁻ₖ₊₁)⁻¹
        mˢₖ = mₖ + G (mˢₖ₊₁ − m⁻ₖ₊₁),   Pˢₖ = Pₖ + G (Pˢₖ₊₁ − P⁻ₖ₊₁) Gᵀ

    Returns:
        A stepper for ``rollout(..., reverse=True)``. ``init(estimates)`` takes the
        stacked `Estimate` of any Gaussian filter, whose last element it needs the sizes
        of; xs are those estimates. It emits the smoothed `Gaussian`; the last one is
        the filtered one. Where P⁻ is singular the result is NaN: give Q full rank, or
        use the square-root form.

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
    return Stepper(Partial(_init), Partial(_step))


def _init(estimates: Estimate) -> Smoothing:
    m, P = estimates.m[-1], estimates.P[-1]
    # With C = 0 and nothing learned later, the first step returns the filtered state.
    return Smoothing(m, P, m, jnp.eye(m.shape[0], dtype=P.dtype), jnp.zeros_like(P))


def _step(later: Smoothing, now: Estimate):
    gain = cho_solve(cholesky(later.P_pred), later.C.T).T
    m = now.m + gain @ (later.m - later.m_pred)
    P = now.P + symmetric(matmul(matmul(gain, later.P - later.P_pred), gain.T))
    return Smoothing(m, P, now.m_pred, now.P_pred, now.C), Gaussian(m, P)
