"""The iterated extended Kalman filter."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax.tree_util import Partial

from filters.extended import expect_observation, predict, tangent
from filters.gaussian import (
    Expected,
    Gaussian,
    check_observation,
    condition,
    innovation,
    update_where_seen,
)
from filters.nonlinear import Nonlinear, nonlinear_filter, validate_model
from sim import Stepper, check, rollout


def iterated_extended(model: Nonlinear, iterations: int = 10) -> Stepper:
    """The iterated extended Kalman filter: Gauss-Newton for the most probable state.

        dx₀ = 0
        dxᵢ₊₁ = E[dx | y] for dx ~ N(0, P⁻) and y = h(m⁻ + dxᵢ) + Hᵢ (dx − dxᵢ) + e

    The prior stays the prior in every iteration; only the point where h is linearised
    moves. At convergence m is a maximum of p(x | y), and the log-likelihood is Laplace's
    with the Gauss-Newton Hessian. The steps are not damped: where they diverge, m diverges.

    Args:
        model: see `Nonlinear`, which also says what a step's input may be.
        iterations: how often h is linearised; 1 is the extended Kalman filter.

    Returns:
        A stepper, as of `filters.extended.extended`. The innovation it emits is that of
        the last linearisation: y − h(m⁻ + dxᵢ) + Hᵢ dxᵢ.

    Raises:
        ValueError: as for `extended`, or iterations is not an integer of at least 1.

    Reference: B. M. Bell and F. W. Cathey, IEEE Transactions on Automatic Control 38
    (1993).

    >>> from sim import rollout
    >>> square = Nonlinear(f=lambda x, u, t: x, h=lambda x, u, t: x**2, Q=[0.1], R=[0.1])
    >>> iekf = iterated_extended(square)
    >>> carry, _ = rollout(iekf.step, iekf.init(Gaussian([1.0], [[0.9]])), jnp.array([[4.0]]))
    >>> carry.m.round(3).tolist()  # (x − 1)² + 10 (x² − 4)² is least there
    [1.994]
    """
    model = validate_model(model)
    observe = Partial(_Observe(check.positive("iterations", iterations)), model)
    # The residual is taken where h is linearised; the rest is an ordinary difference.
    return nonlinear_filter(replace(model, residual=None), Partial(predict, model), observe)


@dataclass(frozen=True)
class _Observe:
    """The expectation of y at the last linearisation; equal for equal iterations."""

    iterations: int

    def __call__(self, model, belief: Gaussian, x) -> Expected:
        y = x["y"]
        prior = Gaussian(jnp.zeros_like(belief.P[0]), belief.P)

        def relinearise(dx, _):
            linear = _linear(model, belief, x, y, dx)
            return update_where_seen(condition, prior, linear, check_observation(y, linear.mu))[
                0
            ].m, None

        # A loop: written out, XLA would compute early iterations many times.
        dx, _ = rollout(relinearise, prior.m, length=self.iterations - 1)
        return _linear(model, belief, x, y, dx)


def _linear(model, belief, x, y, dx):
    """The observation expected at the prior by the tangent at dx, so that y − μ is right."""
    mu, H, R = tangent(model, belief, x, dx)
    if model.residual is not None:
        y = check_observation(y, mu)
        mu = jnp.where(jnp.isnan(y), mu, y - innovation(model.residual, y, mu))
    return expect_observation(belief.P, mu - H @ dx, H, R)
