"""Attitude as a unit quaternion, its covariance of three angles: filters and smoothers on S³."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters import (
    Gaussian,
    Nonlinear,
    backward_sampler,
    extended,
    fixed_lag,
    forecast,
    parallel_rts,
    posterior_samples,
    rts,
    unscented,
)
from sim import rollout
from tests.filters.derivatives import quick
from tests.filters.nonlinear_models import filtered, smoothed

DT, GYRO, SIGHT = 0.1, 0.02, 0.1
N = 150
REFERENCES = np.array([[0.0, 0.0, 1.0], [0.8, 0.0, 0.6]])  # gravity and the magnetic field


def times(p, q):
    v = p[0] * q[1:] + q[0] * p[1:] + jnp.cross(p[1:], q[1:])
    return jnp.concatenate([(p[0] * q[0] - p[1:] @ q[1:])[None], v])


def turned(q, dx):
    """q ⊗ exp(dx / 2), dx a rotation vector in the body."""
    square = dx @ dx / 4
    small = square < 1e-12
    half = jnp.sqrt(jnp.where(small, 1.0, square))
    sinc = jnp.where(small, 1 - square / 6, jnp.sin(half) / half)
    cosine = jnp.where(small, 1 - square / 2, jnp.cos(half))
    return times(q, jnp.concatenate([cosine[None], 0.5 * sinc * dx]))


def turn(q, origin):
    """2 log(origin* ⊗ q), the short way round."""
    d = times(origin * jnp.array([1.0, -1.0, -1.0, -1.0]), q)
    d = jnp.where(d[0] < 0, -d, d)
    square = d[1:] @ d[1:]
    small = square < 1e-12
    length = jnp.sqrt(jnp.where(small, 1.0, square))
    return jnp.where(small, 2 / d[0], 2 * jnp.arctan2(length, d[0]) / length) * d[1:]


def spin(q, u, t):
    return turned(q, DT * u)


def rotation(q):
    w, v = q[0], q[1:]
    cross = jnp.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return (w * w - v @ v) * jnp.eye(3) + 2 * jnp.outer(v, v) + 2 * w * cross


def sights(references):
    """The directions of the references as the body sees them."""
    return lambda q, u, t: (references @ rotation(q)).ravel()


def model(references=REFERENCES):
    noise = np.full(3, (GYRO * DT) ** 2)
    return Nonlinear(
        spin, sights(references), noise, np.full(6, SIGHT**2), retract=turned, local=turn
    )


@pytest.fixture(scope="module")
def record():
    """True attitudes (N, 4), and what a gyroscope and two vector sensors say, gaps included."""
    rng = np.random.default_rng(7)
    rate = np.stack([np.sin(0.05 * np.arange(N)), np.full(N, 0.8), np.cos(0.03 * np.arange(N))], 1)
    start = turned(jnp.array([1.0, 0, 0, 0]), jnp.asarray(0.3 * rng.normal(size=3)))
    noisy = rate + GYRO * rng.normal(size=(N, 3))
    q, truth = rollout(lambda q, w: (spin(q, w, None),) * 2, start, jnp.asarray(noisy))
    y = np.array(jax.vmap(lambda q: sights(REFERENCES)(q, None, None))(truth))
    y += SIGHT * rng.normal(size=y.shape)
    y[rng.random(y.shape) < 0.2] = np.nan
    y[60:75] = np.nan
    return np.array(truth), {"y": y, "u": rate}


PRIOR = Gaussian(np.array([1.0, 0, 0, 0]), 0.09 * np.eye(3))
errors = quick(jax.vmap(turn))


def nees(truth, belief):
    e = np.array(errors(truth, belief.m))
    return np.einsum("ki,kij,kj->k", e, np.linalg.inv(belief.P), e)


@pytest.mark.parametrize("filter", [extended, unscented])
def test_the_attitude_is_found_and_its_covariance_tells_how_well(record, filter):
    truth, xs = record
    estimates = filtered(filter(model()), PRIOR, xs)
    smooth = smoothed(rts(turned, turn), estimates)
    for belief in (estimates, smooth):
        np.testing.assert_allclose(np.linalg.norm(belief.m, axis=1), 1, atol=1e-12)
        assert np.linalg.eigvalsh(np.array(belief.P)).min() > 0
        assert 1.5 < nees(truth, belief).mean() < 5.0  # 3 components; correlated in time
    forward, back = (np.mean(np.square(errors(truth, b.m))) for b in (estimates, smooth))
    assert back < 0.7 * forward < 0.7 * SIGHT**2


@pytest.mark.parametrize("filter", [extended, unscented])
def test_turning_the_world_turns_the_estimates_and_nothing_else(record, filter):
    _, xs = record
    turning = turned(jnp.array([1.0, 0, 0, 0]), jnp.array([2.0, -1.5, 0.7]))
    world = REFERENCES @ np.array(rotation(turning)).T
    here = filtered(filter(model()), PRIOR, xs)
    there = filtered(filter(model(world)), Gaussian(times(turning, PRIOR.m), PRIOR.P), xs)
    np.testing.assert_allclose(there.m, jax.vmap(lambda q: times(turning, q))(here.m), atol=1e-9)
    for field in ("P", "C", "S", "loglik"):
        np.testing.assert_allclose(getattr(there, field), getattr(here, field), atol=1e-9)


def test_fixed_lag_and_samples_agree_with_the_smoother(record):
    _, xs = record
    estimates = filtered(extended(model()), PRIOR, xs)
    smooth = smoothed(rts(turned, turn), estimates)
    late = filtered(fixed_lag(extended(model()), N - 1, turned, turn), PRIOR, xs)
    # The first state given the whole record; corrections add up a little otherwise on a sphere.
    np.testing.assert_allclose(turn(late.m[-1], smooth.m[0]), np.zeros(3), atol=2e-3)
    np.testing.assert_allclose(late.P[-1], smooth.P[0], rtol=0.02, atol=1e-5)
    paths = quick(lambda e: posterior_samples(jax.random.key(0), e, 400, turned, turn))(estimates)
    assert paths.shape == (400, N, 4)
    k = 67  # inside the gap
    away = np.array(jax.vmap(lambda q: turn(q, smooth.m[k]))(paths[:, k]))
    sd = np.sqrt(np.diag(smooth.P[k]))
    assert np.all(np.abs(away.mean(0)) < 5 * sd / 20)
    np.testing.assert_allclose(np.cov(away.T), smooth.P[k], atol=5 * sd.max() ** 2 / 20)


def test_what_knows_no_manifold_says_so(record):
    _, xs = record
    estimates = filtered(extended(model()), PRIOR, xs)
    with pytest.raises(ValueError, match=r"parallel_rts: expected means \(N, 3\).* got \(150, 4\)"):
        parallel_rts(estimates)
    with pytest.raises(
        ValueError, match="backward_sampler: expected retract and local for a state"
    ):
        posterior_samples(jax.random.key(0), estimates, 2)
    with pytest.raises(ValueError, match="fixed_lag: expected retract and local for a state"):
        filtered(fixed_lag(extended(model()), 2), PRIOR, xs)
    for half in (
        lambda: backward_sampler(turned),
        lambda: fixed_lag(extended(model()), 2, local=turn),
    ):
        with pytest.raises(ValueError, match="expected retract and local together"):
            half()


def test_a_forecast_is_of_the_observation_itself_whatever_its_residual():
    def wrapped(y, mu):
        return jnp.arctan2(jnp.sin(y - mu), jnp.cos(y - mu))

    compass = Nonlinear(
        lambda x, u, t: x + 1.0,
        lambda x, u, t: x % 360,
        [1.0],
        [1.0],
        residual=lambda y, mu: jnp.rad2deg(wrapped(jnp.deg2rad(y), jnp.deg2rad(mu))),
    )
    ahead = forecast(extended(compass))
    future = filtered(ahead, Gaussian([357.5], [[1.0]]), np.full((4, 1), np.nan))
    np.testing.assert_allclose(future.mu[:, 0], [358.5, 359.5, 0.5, 1.5], atol=1e-9)
