"""Sampled inputs: exact for what they promise, linear, differentiable, batched."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from integrators import rk4
from sim import repeat, rollout
from sim.inputs import (
    at,
    band_limited,
    cubic,
    first_order_hold,
    zero_order_hold,
)
from tests.sim.sampled_inputs import MAKERS, THETAS, T, periodic, random

SIMPSON = ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6))


def integral(c, x):
    """A step of length 1 that integrates its input by Simpson's rule."""
    c = c + sum(w * at(x, theta) for theta, w in SIMPSON)
    return c, c


# --- from samples to pieces
@pytest.mark.parametrize(("make", "degree"), [(first_order_hold, 1), (cubic, 3)])
def test_polynomials_of_its_degree_are_reproduced(make, degree):
    polynomial = np.polynomial.Polynomial(random(degree + 1, seed=3))
    piece = make(T, polynomial(T))
    for theta in THETAS:
        np.testing.assert_allclose(piece(theta), polynomial(T[:-1] + 0.1 * theta), rtol=1e-12)


def test_a_jump_belongs_to_the_step_that_begins_there():
    piece = zero_order_hold(T[:3], np.array([0.0, 1.0, 5.0]))
    np.testing.assert_array_equal(piece(0.0), [0, 1])
    np.testing.assert_array_equal(piece(1.0), [0, 1])


@pytest.mark.parametrize("n", [4, 5, 12])
def test_cubic_is_scipys_not_a_knot_spline(n):
    u = random(n, 3)
    piece, spline = cubic(T[:n], u), CubicSpline(T[:n], u)
    for theta in THETAS:
        np.testing.assert_allclose(piece(theta), spline(T[: n - 1] + 0.1 * theta), atol=1e-12)


def tones(t, harmonics, period):
    phases = random(len(harmonics), seed=4)
    angles = 2 * np.pi * np.outer(t, harmonics) / period + phases
    return np.cos(angles).sum(1)


@pytest.mark.parametrize("n", [60, 61])
def test_band_limited_is_exact_on_a_periodic_multisine(n):
    nodes = (0.0, 0.25, 1 / 3, 0.5, 1.0)
    t, harmonics = 0.01 * np.arange(n), [0, 1, 7, 20, 29]
    signal = functools.partial(tones, harmonics=harmonics, period=0.01 * n)
    piece = periodic(t, signal(t), nodes)
    for theta in nodes:
        np.testing.assert_allclose(piece(theta), signal(t[:-1] + 0.01 * theta), atol=1e-10)
    spline = cubic(t, signal(t))
    assert np.abs(spline(0.5) - signal(t[:-1] + 0.005)).max() > 0.1


def test_content_at_half_the_sampling_frequency_is_a_cosine():
    u = (-1.0) ** np.arange(8)
    for signal in (u, 1j * u):
        piece = periodic(np.arange(8.0), signal, (0.0, 0.25, 1.0))
        np.testing.assert_allclose(piece(0.25), np.cos(np.pi / 4) * signal[:-1], atol=1e-14)


def test_band_limited_does_not_ring_at_the_ends_of_a_record():
    t = np.arange(400.0)
    signal = functools.partial(tones, harmonics=[3.3, 17.7, 41.2, 58.9], period=400.0)
    middles = signal(t[:-1] + 0.5)
    errors = {
        name: np.abs(make(t, signal(t))(0.5) - middles)
        for name, make in dict(ours=band_limited, plain=periodic, cubic=cubic).items()
    }
    assert errors["ours"].max() < 0.1 * errors["plain"].max()
    assert errors["ours"][5:-5].max() < 0.02 * errors["plain"][5:-5].max()
    assert errors["ours"][20:-20].max() < 0.1 * errors["cubic"][20:-20].max()
    np.testing.assert_allclose(band_limited(t, 3 * t - 7)(0.5), 3 * (t[:-1] + 0.5) - 7, atol=1e-11)


def inner(a, b):
    return sum(float(jnp.vdot(x, y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


@pytest.mark.parametrize("make", MAKERS)
def test_every_sampled_input_is_linear_differentiable_and_batched(make):
    u = {"force": jnp.asarray(random(12)), "flow": jnp.asarray(random(12, 2, seed=1))}
    v = jax.tree.map(lambda x: jnp.flip(x), u)

    def read(u):
        return make(T, u)(0.5)

    value, moved = jax.jit(lambda u, v: jax.jvp(read, (u,), (v,)))(u, v)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), value, read(u))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), moved, read(v))
    # Reverse mode is the transpose: ⟨w, J v⟩ = ⟨Jᵀ w, v⟩.
    pulled = jax.jit(lambda u, w: jax.vjp(read, u)[1](w)[0])(u, value)
    assert inner(value, moved) == pytest.approx(inner(pulled, v), rel=1e-12)

    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), u, v)
    batched = jax.vmap(read)(both)
    jax.tree.map(
        lambda ab, a, b: np.testing.assert_allclose(ab, jnp.stack([a, b]), atol=1e-13),
        batched,
        read(u),
        read(v),
    )


# --- in a rollout
def test_a_ramp_stays_a_ramp_through_substeps():
    t = np.arange(5.0)
    # A substep has length 1/3, and integral counts it as 1.
    _, ys = rollout(repeat(integral, 3), 0.0, first_order_hold(t, 2 * t + 1))
    np.testing.assert_allclose(ys / 3, t[1:] ** 2 + t[1:], rtol=1e-14)


def test_pieces_in_a_rollout_batch_and_differentiate():
    t = np.arange(9.0)
    coefficients = jnp.array([[0.0, 1.0, -2.0, 0.5], [1.0, 0.0, 0.3, 0.1]])

    @jax.jit
    @jax.vmap
    def area(c):
        u = c[0] + c[1] * t + c[2] * t**2 + c[3] * t**3
        return rollout(integral, 0.0, cubic(t, u))[0]

    moments = np.array([8, 32, 512 / 3, 1024])
    np.testing.assert_allclose(area(coefficients), coefficients @ moments, rtol=1e-12)
    gradient = jax.grad(lambda c: area(c).sum())(coefficients)
    np.testing.assert_allclose(gradient, np.stack([moments, moments]), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("make", MAKERS)
def test_a_driven_run_comes_back_through_the_same_record(make, n):
    t = 0.01 * np.arange(100)
    pieces = make(t, np.sin(4 * np.pi * t))

    def end(dt, y0, t0, xs, **options):
        stepper = rk4(lambda t, y, u: -y + 5 * u * jnp.cos(y), dt / n)
        return rollout(repeat(stepper.step, n), stepper.init(y0, t0), xs, **options)[0].y

    there = end(0.01, 0.4, 0.0, pieces)
    back = end(-0.01, there, t[-1], pieces.backwards(), reverse=True)
    assert float(back) == pytest.approx(0.4, abs=1e-6)
    if make is not zero_order_hold:
        assert abs(float(end(-0.01, there, t[-1], pieces, reverse=True)) - 0.4) > 1e-4
