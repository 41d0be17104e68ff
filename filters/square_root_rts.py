"""The Rauch-Tung-Striebel smoother in square-root form, without an inverse."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from filters.square_root import SquareRootEstimate
from sim import Stepper
from sim.linalg import matmul, triangularise


class SquareRootSmoothed(NamedTuple):
    """Mean m (n,), covariance P (n, n) and its lower triangular root (n, n)."""

    m: Any
    P: Any
    root: Any


class SquareRootSmoothing(NamedTuple):
    """The carry: the posterior of the noise ε in x = m + root ε, given later observations.

    Attributes:
        e: its mean (n,).
        E: a factor of its covariance (n, n).
    """

    e: Any
    E: Any


def square_root_rts() -> Stepper:
    """The smoother of `square_root_kalman`, without divisions or subtractions.

        mˢₖ = mₖ + Sₖ e,   Sˢₖ = tria(Sₖ E)
        e ← turn (shift + shrink e),   E ← tria([turn shrink E, rest])

    It passes the noise ε of x = m + S ε, standard normal in the filter, backwards through
    matrices of norm at most one. So the results stay finite, and the covariances valid, in
    any precision, and Q, R, P⁻ and F may be singular.

    Returns:
        A stepper for ``rollout(..., reverse=True)``: ``init(estimates)`` takes the
        stacked estimates of `square_root_kalman`, and so do its xs. It emits a
        `SquareRootSmoothed`.

    Reference: P. Park and T. Kailath, International Journal of Control 62 (1995), for
    square-root smoothers; the form in noise coordinates is this project's.

    >>> from filters.gaussian import Gaussian
    >>> from filters.kalman import LinearGaussian
    >>> from filters.square_root import square_root_kalman
    >>> from sim import rollout
    >>> walk = square_root_kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0]))
    >>> ys = jnp.array([[0.0], [jnp.nan], [3.0]])
    >>> _, estimates = rollout(walk.step, walk.init(Gaussian([0.0], [[1.0]])), ys)
    >>> smoother = square_root_rts()
    >>> _, smoothed = rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)
    >>> smoothed.m[:, 0].round(3).tolist()
    [0.545, 1.364, 2.182]
    """
    return Stepper(Partial(_init), Partial(_step))


def _init(estimates: SquareRootEstimate) -> SquareRootSmoothing:
    m, n = estimates.m, estimates.m.shape[1]
    return SquareRootSmoothing(jnp.zeros_like(m, shape=(n,)), jnp.eye(n, dtype=m.dtype))


def _step(later: SquareRootSmoothing, now: SquareRootEstimate):
    e, E = later
    m = now.m + now.root @ e
    root, _ = triangularise(matmul(now.root, E), None)
    smoothed = SquareRootSmoothed(m, matmul(root, root.T), root)
    e = now.turn @ (now.shift + now.shrink @ e)
    E = matmul(now.turn, matmul(now.shrink, E))
    E, _ = triangularise(jnp.concatenate([E, now.rest], axis=1), None)
    return SquareRootSmoothing(e, E), smoothed
