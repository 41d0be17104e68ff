"""State-space systems: scipy's `dlsim`, any axis, either form, slopes, named mistakes."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from filters.iir.state_space import ss_stepper, ssfilt
from sim import rollout
from tests.filters.derivatives import check_gradient
from tests.filters.iir.random_filters import noise

n, p, q, T = 3, 2, 4, 40
rng = np.random.default_rng(0)
A = noise(rng, (n, n))
A = 0.9 * A / np.max(np.abs(np.linalg.eigvals(A)))
SYSTEM = A, noise(rng, (n, p)), noise(rng, (q, n)), noise(rng, (q, p))
U, X0 = noise(rng, (2, T, 3, p)), noise(rng, (2, 3, n))


def scipys(u, x0):
    _, y, x = scipy.signal.dlsim(scipy.signal.dlti(*SYSTEM, dt=1.0), u, x0=x0)
    return y, SYSTEM[0] @ x[-1] + SYSTEM[1] @ u[-1]


@pytest.mark.parametrize("form", ["scan", "associative", None])
def test_dlsim(form):
    y, x = ssfilt(SYSTEM, U[0, :, 0], 0, X0[0, 0], form=form)
    expected, last = scipys(U[0, :, 0], X0[0, 0])
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(x, last, rtol=1e-11, atol=1e-12)
    at_rest = ssfilt(SYSTEM, U[0, :, 0], 0, form=form)
    np.testing.assert_allclose(at_rest, scipys(U[0, :, 0], None)[0], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("form", ["scan", "associative"])
def test_time_along_any_axis_of_a_batch(axis, form):
    y, x = ssfilt(SYSTEM, np.moveaxis(U, 1, axis), axis, X0, form=form)
    y = np.moveaxis(y, axis, 1)
    assert y.shape == (2, T, 3, q)
    for i, j in ((0, 0), (1, 2)):
        expected, last = scipys(U[i, :, j], X0[i, j])
        np.testing.assert_allclose(y[i, :, j], expected, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(x[i, j], last, rtol=1e-11, atol=1e-12)


def test_a_transfer_function_is_a_system():
    b, a = scipy.signal.butter(3, 0.2)
    u = U[0, :, 0, 0]
    y = ssfilt(scipy.signal.tf2ss(b, a), u[None])
    np.testing.assert_allclose(y[0], scipy.signal.lfilter(b, a, u), rtol=1e-11, atol=1e-13)


def test_the_stepper_is_the_scan_bit_for_bit():
    stepper = ss_stepper(SYSTEM)
    x, y = rollout(stepper.step, stepper.init(X0[0, 0]), jnp.asarray(U[0, :, 0]))
    expected, last = ssfilt(SYSTEM, U[0, :, 0], 0, X0[0, 0], form="scan")
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(x, last)


@pytest.mark.parametrize("form", ["scan", "associative"])
def test_slopes(form):
    def loss(at):
        y, x = ssfilt(at["system"], at["u"], 0, at["x0"], form=form)
        return jnp.mean(jnp.sin(y)) + jnp.sum(x**2)

    check_gradient(loss, {"system": SYSTEM, "u": U[0, :20, 0], "x0": X0[0, 0]}, rtol=1e-5)


def test_float32_stays():
    single = tuple(m.astype(np.float32) for m in SYSTEM)
    u = U[0, :, 0].astype(np.float32)
    y = ssfilt(single, u, 0)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, scipys(u, None)[0], rtol=1e-3, atol=1e-4)


ONE = ([[0.5]], [[1.0]], [[1.0]], [[0.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ssfilt((*ONE, 1.0), np.ones((1, 5))), r"system: expected \(A, B, C, D\), got 5"),
        (lambda: ssfilt((0.5, *ONE[1:]), np.ones((1, 5))), "A: expected a matrix, got shape"),
        (lambda: ssfilt((*ONE[:3], np.ones((2, 1))), np.ones((1, 5))), r"D: expected shape \(1, 1"),
        (lambda: ssfilt(ONE, np.ones((2, 5))), r"u: expected 1 inputs .*, got \(2, 5\)"),
        (lambda: ssfilt(ONE, np.ones(5)), r"u: expected 1 inputs .*, got \(5,\)"),
        (lambda: ssfilt(ONE, np.ones((1, 5)), x0=np.ones(2)), r"x0: expected shape \(1,\), got"),
        (lambda: ssfilt(ONE, np.ones((1, 5)), form="block"), "form: expected one of"),
        (lambda: ssfilt(ONE, np.ones((1, 5)), axis=2), "axis: expected one of the 2 axes"),
        (lambda: ss_stepper(ONE).init(np.ones(2)), r"x0: expected shape \(1,\), got \(2,\)"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
