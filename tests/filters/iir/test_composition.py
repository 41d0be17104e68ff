"""A plant, the low-pass of its sensor and a Kalman filter are one scan, and one gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from filters import Gaussian, LinearGaussian, kalman
from filters.iir import sos_stepper
from filters.iir.design import butter
from integrators import rk4
from sim import cascade, rollout
from tests.filters.derivatives import quick

DT, N = 0.02, 60
A = jnp.array([[0.0, 1.0], [-25.0, -0.5]])
FORCE = jnp.asarray(np.random.default_rng(0).normal(size=N))
PRIOR = Gaussian(m=[0.5, 0.5], P=jnp.eye(2))
START = jnp.array([1.0, 0.0])


def swing(t, y, force):
    return A @ y + jnp.stack([jnp.zeros_like(force), 5.0 * force])


PLANT = rk4(swing, DT)
F = jnp.asarray(scipy.linalg.expm(np.asarray(A) * DT))
ESTIMATOR = kalman(LinearGaussian(F=F, Q=0.01 * jnp.eye(2), H=jnp.eye(2), R=0.1 * jnp.eye(2)))
SETTLED = 10


@jax.jit
def estimated(cutoff):
    """The means of the filter, which sees position and velocity through the sensor."""
    sensor = sos_stepper(butter(2, cutoff, fs=1 / DT, output="sos"), channels=(2,))
    whole = cascade(PLANT, sensor, ESTIMATOR)
    carry = whole.init(START, None, PRIOR)
    return rollout(whole.step, carry, FORCE)[1].m


TRUTH = rollout(PLANT.step, PLANT.init(START), FORCE)[1]


@jax.jit
def loss(cutoff):
    return jnp.mean((estimated(cutoff) - TRUTH)[SETTLED:] ** 2)


REVERSE, FORWARD = quick(jax.grad(loss)), quick(jax.jacfwd(loss))


def test_one_scan_is_the_three_one_after_the_other():
    sos = scipy.signal.butter(2, 8.0, fs=1 / DT, output="sos")
    seen = scipy.signal.sosfilt(sos, TRUTH, axis=0)
    expected = rollout(ESTIMATOR.step, ESTIMATOR.init(PRIOR), jnp.asarray(seen))[1].m
    np.testing.assert_allclose(estimated(8.0), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("cutoff", [4.0, 12.0])
def test_the_gradient_with_respect_to_the_cutoff_goes_through_all_three(cutoff):
    h = 1e-4
    slope = (loss(cutoff + h) - loss(cutoff - h)) / (2 * h)
    reverse, forward = REVERSE(cutoff), FORWARD(cutoff)
    np.testing.assert_allclose(reverse, slope, rtol=1e-6)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9)


def test_a_step_of_ones_own_may_hold_all_three_and_run_live():
    """The sensor sees the position alone, with noise; the estimate drives the plant."""
    sensor = sos_stepper(butter(2, 8.0, fs=1 / DT, output="sos"))
    one = kalman(LinearGaussian(F=F, Q=0.01 * jnp.eye(2), H=[[1.0, 0.0]], R=[[0.1]]))

    def step(carry, noise):
        plant, filtered, estimator, force = carry
        plant, state = PLANT.step(plant, force)
        filtered, seen = sensor.step(filtered, state[0] + noise)
        estimator, estimate = one.step(estimator, seen[None])
        return (plant, filtered, estimator, -0.5 * estimate.m[1]), state

    carry = (PLANT.init(START), sensor.init(), one.init(PRIOR), jnp.zeros(()))
    states = jax.jit(lambda carry, noise: rollout(step, carry, noise)[1])(carry, 0.01 * FORCE)
    now = jax.jit(step)
    for k in range(N):
        carry, state = now(carry, 0.01 * FORCE[k])
        np.testing.assert_allclose(state, states[k], rtol=1e-12, atol=1e-14)
    free = rollout(PLANT.step, PLANT.init(START), 0 * FORCE)[1]
    assert jnp.sum(states[-20:] ** 2) < 0.5 * jnp.sum(free[-20:] ** 2)  # the loop damps
