"""The extended Kalman filter."""

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from filters.gaussian import Expected, Gaussian, Predicted, symmetric
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
from sim.linalg import matmul


def extended(model: Nonlinear) -> Stepper:
    """The extended Kalman filter: the model replaced by its tangent at the mean.

        m⁻ = f(m),   P⁻ = F P Fᵀ + Q,   F = ∂f/∂x at m
        condition (m⁻, P⁻) on y = h(m⁻) + H (x − m⁻) + e,   H = ∂h/∂x at m⁻

    The Jacobians are exact, by forward differentiation. Noise that f or h takes is
    replaced by its tangent too: Q becomes G Q Gᵀ with G = ∂f/∂w at w = 0.

    Args:
        model: see `Nonlinear`, which also says what a step's input may be.

    Returns:
        A stepper. ``init(prior, on_first=False)``: a `Gaussian` prior of the state one
        step before the first observation, or of the first observed state. Its step
        emits an `Estimate`.

    Raises:
        ValueError: a function is no function of these arguments, returns another
            shape, or Q, R or the prior is no covariance.

    Reference: S. Särkkä and L. Svensson, "Bayesian Filtering and Smoothing", 2nd ed.,
    Cambridge 2023, section 7.2.

    >>> from filters.nonlinear import Nonlinear
    >>> from sim import rollout
    >>> square = Nonlinear(f=lambda x, u, t: x, h=lambda x, u, t: x**2, Q=[0.1], R=[0.1])
    >>> ekf = extended(square)
    >>> carry = ekf.init(Gaussian([1.0], [[0.9]]))
    >>> carry, _ = rollout(ekf.step, carry, jnp.array([[4.0], [4.0], [4.0]]))
    >>> carry.m.round(1).tolist()
    [2.0]
    """
    model = validate_model(model)
    return nonlinear_filter(model, Partial(predict, model), Partial(_observe, model))


def predict(model, belief: Gaussian, x) -> Predicted:
    """The state a step later by the tangent of f at the mean."""
    f, Q = transition(model, belief, x)
    w = _still(model, "f", Q)
    m = f(belief.m, *w)

    def displacement_after(dx, *w):
        return displacement(model, belief, f(displace(model, belief.m, dx), *w), m)

    still = jnp.zeros_like(belief.P[0])
    F = jax.jacfwd(displacement_after)(still, *w)
    if w:
        Q = _through(jax.jacfwd(displacement_after, argnums=1)(still, *w), Q)
    FP = matmul(F, belief.P)
    return Predicted(m, plus(symmetric(matmul(FP, F.T)), Q), FP.T)


def _observe(model, belief: Gaussian, x) -> Expected:
    return expect_observation(belief.P, *tangent(model, belief, x))


def tangent(model, belief, x, dx=None):
    """h, its Jacobian by the state and the covariance of its noise, at dx from the mean."""
    h, R = observation(model, belief, x)
    e = _still(model, "h", R)
    dx = jnp.zeros_like(belief.P[0]) if dx is None else dx
    point = displace(model, belief.m, dx)
    mu = h(point, *e)
    H = jax.jacfwd(lambda dx: h(displace(model, belief.m, dx), *e))(dx)
    if e:
        R = _through(jax.jacfwd(lambda e: h(point, e))(*e), R)
    return mu, H, R


def expect_observation(P, mu, H, R) -> Expected:
    """Mean and covariances of y = μ + H dx + e for dx ~ N(0, P) and e ~ N(0, R)."""
    C = matmul(P, H.T)
    return Expected(mu, plus(symmetric(matmul(H, C)), R), C)


def _still(model, name, noise):
    """The mean of the noise of a function, as a tuple of its further arguments."""
    return (jnp.zeros_like(noise[0], shape=noise.shape[:1]),) if name in model.noise_in else ()


def _through(G, Q):
    """G Q Gᵀ."""
    if Q.ndim == 1:
        return symmetric(matmul(G * Q[None], G.T))
    return symmetric(matmul(matmul(G, Q), G.T))
