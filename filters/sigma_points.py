"""The shared parts of filters whose moments are weighted sums over a few points.

A new one is one file with a function from n to the `UnitPoints` of N(0, I).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.gaussian import Expected, Gaussian, Predicted, innovation, symmetric
from filters.kalman import plus
from filters.nonlinear import (
    Nonlinear,
    displace,
    displacement,
    nonlinear_filter,
    observation,
    transition,
    validate_model,
)
from sim import Stepper
from sim.linalg import FACTOR_LIMIT, cholesky, cholesky_semidefinite, matmul
from sim.step import as_pytree


class UnitPoints(NamedTuple):
    """Points that stand for N(0, I): points (k, n), weights of means and of covariances (k,)."""

    points: Any
    mean: Any
    covariance: Any


def sigma_point_filter(model: Nonlinear, rule: Callable[[int], UnitPoints]) -> Stepper:
    """A filter whose means and covariances are sums over sigma points.

        Xᵢ = m + L ξᵢ,   L Lᵀ = P,   Yᵢ = f(Xᵢ)
        m⁻ = Σ wᵢ Yᵢ,   P⁻ = Σ cᵢ (Yᵢ − m⁻)(Yᵢ − m⁻)ᵀ + Q,   C = Σ cᵢ (Xᵢ − m)(Yᵢ − m⁻)ᵀ

    and the same with h and new points about m⁻ for the observation. Noise that f or h
    takes has points of its own, of the joint N(0, I) of state and noise. Angles and
    states on a manifold are averaged as differences from the image of the mean.

    Args:
        model: see `Nonlinear`, which also says what a step's input may be.
        rule: ``rule(n) -> UnitPoints`` of N(0, I) in n dimensions.

    Returns:
        A stepper, as of `filters.extended.extended`. Negative weights, or a P that
        rounding has made indefinite, may leave NaN: see `filters.cubature`, whose
        weights are all positive.

    Raises:
        ValueError: a function is no function of these arguments, returns another
            shape, or Q, R or the prior is no covariance.

    Reference: S. Särkkä and L. Svensson, "Bayesian Filtering and Smoothing", 2nd ed.,
    Cambridge 2023, section 8.

    >>> from sim import rollout
    >>> def two(n):
    ...     return UnitPoints(jnp.array([[-1.0], [1.0]]), jnp.full(2, 0.5), jnp.full(2, 0.5))
    >>> square = Nonlinear(f=lambda x, u, t: x, h=lambda x, u, t: x**2, Q=[0.0], R=[0.1])
    >>> stepper = sigma_point_filter(square, two)
    >>> carry = stepper.init(Gaussian([1.0], [[1.0]]))
    >>> _, estimates = rollout(stepper.step, carry, jnp.array([[4.0]]))
    >>> estimates.innovation.round(6).tolist(), estimates.S.round(6).tolist()
    ([[2.0]], [[[4.1]]])
    """
    model, rule = validate_model(model), as_pytree(rule)
    return nonlinear_filter(model, Partial(_predict, rule, model), Partial(_observe, rule, model))


def _predict(rule, model, belief: Gaussian, x) -> Predicted:
    f, Q = transition(model, belief, x)
    rule, dX, X, W = draw(rule, model, belief, Q if "f" in model.noise_in else None)
    Y, dX = _keep_stored(jax.vmap(f)(X, *W), dX)
    if model.retract is None:
        m = _mean(rule, Y)
        D = Y - m[None]
    else:
        origin = f(belief.m, *(jnp.zeros_like(w[0]) for w in W))
        away = jax.vmap(lambda y: displacement(model, belief, y, origin))(Y)
        m = displace(model, origin, _mean(rule, away))
        D = jax.vmap(lambda y: displacement(model, belief, y, m))(Y)
    P, C = _covariances(rule, dX, D)
    return Predicted(m, P if W else plus(P, Q), C)


def _observe(rule, model, belief: Gaussian, x) -> Expected:
    h, R = observation(model, belief, x)
    rule, dX, X, E = draw(rule, model, belief, R if "h" in model.noise_in else None)
    Y, dX = _keep_stored(jax.vmap(h)(X, *E), dX)
    if model.residual is None:
        mu = _mean(rule, Y)
        D = Y - mu[None]
    else:
        origin = h(belief.m, *(jnp.zeros_like(e[0]) for e in E))
        mu = origin + _mean(rule, jax.vmap(lambda y: innovation(model.residual, y, origin))(Y))
        D = jax.vmap(lambda y: innovation(model.residual, y, mu))(Y)
    S, C = _covariances(rule, dX, D)
    return Expected(mu, S if E else plus(S, R), C)


def draw(rule, model, belief, noise=None):
    """Points of N(m, P), and of N(0, noise) where there is one, from the rule for both.

    Returns:
        The `UnitPoints`, the points less the mean (k, d), the points (k, n), and the
        noise as a tuple of one array (k, q), or of none.
    """
    d = belief.P.shape[0]
    q = 0 if noise is None else noise.shape[0]
    rule = UnitPoints(*(jnp.asarray(a, belief.P.dtype) for a in rule(d + q)))
    dX = matmul(rule.points[:, :d], root(belief.P).T)
    X = jax.vmap(lambda dx: displace(model, belief.m, dx))(dX)
    if noise is None:
        return rule, dX, X, ()
    if noise.ndim == 1:
        return rule, dX, X, (rule.points[:, d:] * jnp.sqrt(noise)[None],)
    return rule, dX, X, (matmul(rule.points[:, d:], root(noise).T),)


def root(P):
    """L with L Lᵀ = P, for P positive semi-definite as well.

    Above the sizes that are written out the library factors P with its diagonal raised by
    the rounding error, and by a tiny number where it is zero.
    """
    if P.shape[0] <= FACTOR_LIMIT:
        return cholesky_semidefinite(P)
    info, n = jnp.finfo(P.dtype), P.shape[0]
    lifted = P * (1 + n * float(info.eps)) + float(info.tiny) ** 0.5
    return cholesky(jnp.where(np.eye(n, dtype=bool), lifted, P))


def _keep_stored(Y, dX):
    """Both unchanged but stored, or XLA would call f again for every sum over Y."""
    stored = jax.lax.optimization_barrier(jnp.concatenate([Y, dX], axis=1))
    return stored[:, : Y.shape[1]], stored[:, Y.shape[1] :]


def _mean(rule, Y):
    return rule.mean @ Y


def _covariances(rule, dX, D):
    weighted = rule.covariance[:, None] * D
    return symmetric(matmul(D.T, weighted)), matmul(dX.T, weighted)
