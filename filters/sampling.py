"""Samples of state paths from their posterior given a whole record, backwards in time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from filters.covariance import symmetric
from filters.gaussian import Estimate
from filters.manifold import both_or_none, check_retract
from filters.rts import last_of, smoother_gain
from sim import Stepper, rollout
from sim.check import positive
from sim.linalg import cholesky_semidefinite, matmul


class Drawn(NamedTuple):
    """The carry: the state drawn a step later, and its prediction by the filter."""

    x: Any
    m_pred: Any
    P_pred: Any
    C: Any


def backward_sampler(retract: Callable | None = None, local: Callable | None = None) -> Stepper:
    """One path of states given the whole record, from the last state back to the first.

        G = Cₖ₊₁ (P⁻ₖ₊₁)⁻¹
        xₖ ~ N(mₖ + G (xₖ₊₁ − m⁻ₖ₊₁),  Pₖ − G Cₖ₊₁ᵀ)

    Args:
        retract, local: those of the model, for a state on a manifold, as for `rts`.

    Returns:
        A stepper for ``rollout(..., reverse=True)``. ``init(estimates)`` takes the
        stacked `Estimate` of any Gaussian filter but the diffuse one; xs are those
        estimates and standard normal noise (N, d), as wide as P, as a pair. It emits the
        states x (n,). Where P⁻ is singular the result is NaN; a state that the next one
        determines is drawn without noise.

    Raises:
        ValueError: only one of retract and local is given, or neither where m is longer
            than P is wide; estimates of `diffuse_kalman`.

    Reference: S. Frühwirth-Schnatter, "Data augmentation and dynamic linear models",
    Journal of Time Series Analysis 15 (1994).

    See `posterior_samples`, which draws the noise and many paths.
    """
    manifold = both_or_none("backward_sampler", retract, local)
    return Stepper(Partial(_init, manifold), Partial(_step, manifold))


def posterior_samples(
    key: Any,
    estimates: Estimate,
    count: int,
    retract: Callable | None = None,
    local: Callable | None = None,
) -> Any:
    """Paths of states from their joint posterior: p(x₁, …, x_N | y₁, …, y_N).

    Args:
        key: a key of `jax.random`.
        estimates: the stacked `Estimate` of any Gaussian filter but the diffuse one.
        count: paths, at least 1.
        retract, local: those of the model, for a state on a manifold, as for `rts`.

    Returns:
        (count, N, n). Their mean and covariance at each step are the smoothed ones; they
        also have the right covariances between steps, which no smoother gives.

    Reference: S. Frühwirth-Schnatter, "Data augmentation and dynamic linear models",
    Journal of Time Series Analysis 15 (1994).

    >>> from filters.gaussian import Gaussian
    >>> from filters.kalman import LinearGaussian, kalman
    >>> walk = kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0]))
    >>> ys = jnp.array([[0.0], [jnp.nan], [3.0]])
    >>> _, estimates = rollout(walk.step, walk.init(Gaussian([0.0], [[1.0]])), ys)
    >>> paths = posterior_samples(jax.random.key(0), estimates, 4000)
    >>> paths.shape, paths.mean(0)[:, 0].round(1).tolist()  # smoothed: 0.55, 1.36, 2.18
    ((4000, 3, 1), [0.5, 1.3, 2.2])
    """
    shape = (positive("count", count), *estimates.P.shape[:2])
    noise = jax.random.normal(key, shape, estimates.m.dtype)
    sampler = backward_sampler(retract, local)
    carry = sampler.init(estimates)

    def path(noise):
        return rollout(sampler.step, carry, (estimates, noise), reverse=True)[1]

    return jax.vmap(path)(noise)


def _init(manifold, estimates: Estimate) -> Drawn:
    m, P = last_of("backward_sampler", estimates)
    check_retract("backward_sampler", m, P, manifold[0])
    # With C = 0 the first draw is from the filtered state.
    return Drawn(m, m, jnp.eye(P.shape[0], dtype=P.dtype), jnp.zeros_like(P))


def _step(manifold, later: Drawn, x):
    retract, local = manifold
    now, noise = x
    gain = smoother_gain(later.P_pred, later.C)
    dx = gain @ (later.x - later.m_pred if local is None else local(later.x, later.m_pred))
    P = symmetric(now.P - matmul(gain, later.C.T))
    dx = dx + cholesky_semidefinite(P, jnp.diag(now.P)) @ noise
    drawn = now.m + dx if retract is None else retract(now.m, dx)
    return Drawn(drawn, now.m_pred, now.P_pred, now.C), drawn
