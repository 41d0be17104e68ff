"""States to start from: scipy's, no transient, and slopes."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from filters.iir.initial import lfilter_zi, lfiltic, sosfilt_zi
from tests.filters.derivatives import check_gradient
from tests.filters.iir.random_filters import error, noise, polynomials, sections

DTYPES = ["float64", "float32", "complex128"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n"), [(1, 4), (5, 3), (3, 1)])
def test_transfer_functions_settle_as_in_scipy(m, n, dtype):
    b, a = polynomials(np.random.default_rng(m), m, n, dtype)
    assert error(lfilter_zi(b, a), scipy.signal.lfilter_zi(b, a)) < 1e4 * np.finfo(dtype).eps


def test_leading_zeros_are_passed_over():
    expected = scipy.signal.lfilter_zi([0.0, 2.0], [0.0, 1.0, 0.5])
    assert error(lfilter_zi([0.0, 2.0], [0.0, 1.0, 0.5]), expected) < 1e-14


@pytest.mark.parametrize("dtype", DTYPES)
def test_sections_settle_as_in_scipy(dtype):
    sos = sections(np.random.default_rng(0), 4, dtype)
    assert error(sosfilt_zi(sos), scipy.signal.sosfilt_zi(sos)) < 1e4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", [0, 2, 9])
def test_the_state_after_samples_is_scipys(samples, dtype):
    rng = np.random.default_rng(samples)
    b, a = polynomials(rng, 3, 5, dtype)
    y, x = noise(rng, (samples,), dtype), noise(rng, (samples,), dtype)
    limit = 1e3 * np.finfo(dtype).eps
    assert error(lfiltic(b, a, y, x), scipy.signal.lfiltic(b, a, y, x)) <= limit
    assert error(lfiltic(b, a, y), scipy.signal.lfiltic(b, a, y)) <= limit


def test_slopes():
    rng = np.random.default_rng(0)
    b, a = polynomials(rng, 4, 4)
    at = {"b": b, "a": a, "sos": sections(rng, 2), "y": noise(rng, (3,)), "x": noise(rng, (3,))}

    def loss(at):
        states = lfilter_zi(at["b"], at["a"]), lfiltic(at["b"], at["a"], at["y"], at["x"])
        return sum(jnp.sum(jnp.sin(z)) for z in (*states, sosfilt_zi(at["sos"])))

    check_gradient(loss, at)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lfilter_zi([1.0], [1.0, -1.0]), "a: expected no pole at 1"),
        (lambda: sosfilt_zi([[1.0, 0, 0, 1, -1, 0]]), "sos: expected no pole at 1"),
        (lambda: sosfilt_zi(np.ones(6)), "sos: expected an array of shape"),
        (lambda: lfilter_zi([1.0], [0.0]), "a: expected a first coefficient other than 0"),
        (lambda: lfiltic([1.0], [1.0, 0.5], np.eye(2)), "y: expected a vector of samples"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
