"""A wheel whose attitude is a unit vector: the filter of its angle, exactly."""

import jax.numpy as jnp
import numpy as np
import pytest

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.nonlinear import Nonlinear
from filters.rts import rts
from tests.filters.derivatives import check_gradient
from tests.filters.nonlinear_models import FILTERS, filtered, run, smoothed

DT = 0.5
Q, R = np.array([[0.01, 0.002], [0.002, 0.01]]), np.array([0.02])


def turned(x, dx):
    """(cos θ, sin θ, ω) with θ and ω moved by dx."""
    c, s = jnp.cos(dx[0]), jnp.sin(dx[0])
    return jnp.stack([c * x[0] - s * x[1], s * x[0] + c * x[1], x[2] + dx[1]])


def turn(x, origin):
    cosine = x[0] * origin[0] + x[1] * origin[1]
    sine = x[1] * origin[0] - x[0] * origin[1]
    return jnp.stack([jnp.arctan2(sine, cosine), x[2] - origin[2]])


def rolling(x, u, t):
    return turned(x, jnp.stack([DT * x[2], 0.0 * x[2]]))


def angle(x, u, t):
    return jnp.arctan2(x[1:2], x[:1])


def wrapped(y, mu):
    return jnp.arctan2(jnp.sin(y - mu), jnp.cos(y - mu))


WHEEL = Nonlinear(rolling, angle, Q, R, residual=wrapped, retract=turned, local=turn)


@pytest.mark.parametrize("name", FILTERS)
def test_equals_kalman_on_the_unwrapped_angle(name):
    rng = np.random.default_rng(3)
    theta = np.cumsum(np.full(20, 0.9)) + 0.1 * rng.normal(size=20)  # three times around
    theta[[4, 5, 11]] = np.nan
    P = np.diag([0.05, 0.1])
    line = LinearGaussian([[1.0, DT], [0.0, 1.0]], Q, [[1.0, 0.0]], R)
    expected = filtered(kalman(line), Gaussian([0.2, 1.6], P), theta[:, None])
    record = np.angle(np.exp(1j * theta))[:, None]
    start = np.array([np.cos(0.2), np.sin(0.2), 1.6])
    found = filtered(FILTERS[name](WHEEL), Gaussian(start, P), record)
    for field in ("P", "P_pred", "C", "innovation", "S", "loglik"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), atol=1e-9)
    pairs = [(found, expected), (smoothed(rts(turned, turn), found), smoothed(rts(), expected))]
    for a, b in pairs:
        m = np.column_stack([np.cos(b.m[:, 0]), np.sin(b.m[:, 0]), b.m[:, 1]])
        np.testing.assert_allclose(a.m, m, atol=1e-9)
        np.testing.assert_allclose(a.P, b.P, atol=1e-9)


@pytest.mark.parametrize("name", ["extended", "iterated", "unscented"])  # one of each kind
def test_the_gradient_skips_what_is_missing(name):
    def loglik(rate):
        prior = Gaussian(jnp.stack([1.0 + 0 * rate, 0 * rate, rate]), 0.1 * jnp.eye(2))
        ys = np.array([[3.0], [np.nan], [-2.9]])
        return run(FILTERS[name](WHEEL), prior, ys).loglik.sum()

    check_gradient(loglik, 4.0)


def test_one_half_of_a_manifold_is_named():
    with pytest.raises(ValueError, match="rts: expected retract and local together"):
        rts(turned)
    for wrong, message in [
        (dict(local=lambda x, origin: x), r"local: expected shape \(2,\), .* got \(3,\)"),
        (dict(retract=lambda x, dx: dx), r"retract: expected shape \(3,\), .* got \(2,\)"),
    ]:
        model = Nonlinear(**{**WHEEL.__dict__, **wrong})
        prior = Gaussian(np.eye(3)[0], np.eye(2))
        with pytest.raises(ValueError, match=message):
            filtered(FILTERS["extended"](model), prior, np.ones((1, 1)))
