"""The iterated extended Kalman filter finds the most probable state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from filters.extended import extended
from filters.gaussian import Gaussian
from filters.iterated import iterated_extended
from filters.nonlinear import Nonlinear
from tests.filters.nonlinear_models import filtered

R = np.array([0.01, 0.0004])


def stay(x, u, t):
    return x


def radar(x, u, t):
    return jnp.stack([jnp.hypot(x[0], x[1]), jnp.arctan2(x[1], x[0])])


def wrapped(y, mu):
    v = y - mu
    return jnp.stack([v[0], jnp.arctan2(jnp.sin(v[1]), jnp.cos(v[1]))])


def cost(x, prior, y):
    """−log p(x, y) without its constants."""
    dx, v = x - prior.m, wrapped(y, radar(x, None, None))
    return 0.5 * (dx @ jnp.linalg.solve(prior.P, dx) + v @ (v / R))


@pytest.mark.parametrize("y", [[1.2, 1.1], [0.9, 3.0], [1.1, -2.9]])
def test_range_and_bearing_end_at_the_most_probable_state(y):
    """Near, with a wide prior, and across the cut of the bearing; the tangent is far off."""
    side = 1.0 if abs(y[1]) < 2 else -1.0
    prior = Gaussian(np.array([side, 0.4]), np.array([[0.5, 0.1], [0.1, 0.5]]))
    y = np.array(y)
    model = Nonlinear(stay, radar, np.zeros(2), R, residual=wrapped)
    found = jax.tree.map(lambda a: a[0], filtered(iterated_extended(model, 60), prior, y[None]))
    once = filtered(extended(model), prior, y[None]).m[0]
    best = minimize(
        cost, once, (prior, y), jac=jax.jit(jax.grad(cost)), method="BFGS", options={"gtol": 1e-10}
    )
    np.testing.assert_allclose(found.m, best.x, atol=1e-6)
    assert np.linalg.norm(once - best.x) > 0.03

    H = jax.jacfwd(lambda x: radar(x, None, None))(found.m)
    P = np.linalg.inv(np.linalg.inv(prior.P) + H.T @ np.diag(1 / R) @ H)
    np.testing.assert_allclose(found.P, P, rtol=1e-6, atol=1e-9)
    laplace = (
        -cost(found.m, prior, y)
        + 0.5 * (np.linalg.slogdet(P)[1] - np.linalg.slogdet(prior.P)[1] - np.log(R).sum())
        - np.log(2 * np.pi)
    )
    np.testing.assert_allclose(found.loglik, laplace, rtol=1e-6)


def test_one_iteration_is_the_extended_filter():
    model = Nonlinear(stay, radar, 0.1 * np.eye(2), R, residual=wrapped)
    prior = Gaussian(np.array([-1.0, 0.1]), 0.01 * np.eye(2))
    ys = np.array([[1.0, -3.1], [np.nan, 3.1], [1.1, np.nan]])
    one, tangent = (
        filtered(stepper, prior, ys) for stepper in (iterated_extended(model, 1), extended(model))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), one, tangent)


def test_wrong_iterations():
    model = Nonlinear(stay, radar, np.zeros(2), R)
    with pytest.raises(ValueError, match="iterations: expected an integer of at least 1, got 0"):
        iterated_extended(model, 0)
