"""Responses of every form: as scipy's, with derivatives, in float32."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from filters.iir.convert import sos2tf
from filters.iir.design import butter, cheby2
from filters.iir.response import freqs, freqz, freqz_sos, freqz_zpk, group_delay, sosfreqz
from tests.filters.derivatives import check_gradient, quick

FREQUENCIES = (
    {},
    {"worN": 16, "whole": True},
    {"worN": [0.0, 3.0, 11.0], "fs": 25.0},
    {"worN": 0},
)


def same(ours, theirs, rtol=1e-10):
    for x, y in zip(ours, theirs, strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("options", FREQUENCIES, ids=str)
def test_every_form_answers_as_scipys(options):
    z, p, k = cheby2(4, 40.0, 0.3, output="zpk")
    sos = cheby2(4, 40.0, 0.3, output="sos")
    b, a = cheby2(4, 40.0, 0.3)
    same(freqz(b, a, **options), scipy.signal.freqz(b, a, **options))
    same(freqz_zpk(z, p, k, **options), scipy.signal.freqz_zpk(z, p, k, **options))
    same(freqz_sos(sos, **options), scipy.signal.freqz_sos(sos, **options))
    same(sosfreqz(sos, **options), freqz_sos(sos, **options))
    delay = {"w" if name == "worN" else name: value for name, value in options.items()}
    # On the zeros of the stop band the delay is a quotient of two small numbers.
    same(group_delay((b, a), **delay), scipy.signal.group_delay((b, a), **delay), 1e-6)


def test_nyquist_broadcasting_and_plot():
    same(
        freqz([1, 2, 3], worN=9, include_nyquist=True),
        scipy.signal.freqz([1, 2, 3], worN=9, include_nyquist=True),
    )
    b = np.arange(6.0).reshape(3, 2, 1)
    same(freqz(b, worN=5), scipy.signal.freqz(b, worN=5))
    seen = []
    w, h = freqz([1.0], plot=lambda w, h: seen.append((w, h)))
    assert seen[0][0] is w and seen[0][1] is h


def test_frequencies_of_two_axes_keep_them():
    w = np.random.default_rng(0).uniform(0, 3, (3, 4))
    z, p, k = butter(3, 0.3, output="zpk")
    (b, a), sos = butter(3, 0.3), butter(3, 0.3, output="sos")
    same(freqz(b, a, w), scipy.signal.freqz(b, a, w))
    same(freqz_zpk(z, p, k, w), scipy.signal.freqz_zpk(z, p, k, w))
    one_axis = freqz_sos(sos, w.ravel())[1].reshape(w.shape)
    same(freqz_sos(sos, w), (w, one_axis))
    same(group_delay((b, a), w), (w, group_delay((b, a), w.ravel())[1].reshape(w.shape)))
    many = np.random.default_rng(1).uniform(size=(4, 2, 1, 1))
    for frequencies in (w, np.empty((3, 0))):
        same(freqz(many, many + 1, frequencies), scipy.signal.freqz(many, many + 1, frequencies))
    traced = quick(lambda b, w: freqz(b, a, w)[1])(jnp.asarray(b), jnp.asarray(w))
    np.testing.assert_allclose(traced, freqz(b, a, w)[1], atol=1e-14)


@pytest.mark.parametrize(
    ("b", "a"),
    [([1, 0], [1, 8, 25]), ([2.0], [3.0]), (*butter(5, [2.0, 90.0], "band", True),)],
    ids=["zero at 0", "number", "band"],
)
def test_analog_responses_equal_scipys(b, a):
    for worN in (None, 9, 0, [0.0, 0.5, 1e3], 2.0, 2.0 + 0j, np.ones((2, 3))):
        same(freqs(b, a, worN), scipy.signal.freqs(b, a, worN))
    seen = []
    freqs(b, a, 3, plot=lambda w, h: seen.append((w, h)))
    assert len(seen[0][0]) == 3


def test_analog_responses_differentiate():
    def loss(a):
        return jnp.sum(jnp.abs(freqs([1.0], a, [0.5, 2.0])[1]))

    check_gradient(loss, jnp.array([1.0, 0.4, 2.0]))
    with pytest.raises(ValueError, match="worN: expected the frequencies"):
        jax.jit(lambda a: freqs([1.0], a)[1])(jnp.ones(2))


def test_a_zero_response_has_no_delay():
    with pytest.warns(UserWarning, match="singular"):
        _, delay = group_delay(([1.0, 0.0, 1.0], [1.0]), w=[np.pi / 4, np.pi / 2])
    np.testing.assert_allclose(delay[0], 1.0)
    delay_at_0 = quick(jax.grad(lambda b: group_delay((b, [1.0]), w=[0.0])[1][0]))
    slope = delay_at_0(jnp.array([1.0, -1.0]))
    assert np.all(np.isfinite(slope))


def test_gradients_of_gain_and_delay():
    sos = butter(4, 0.3, output="sos")

    def loss(c):
        gain = jnp.abs(freqz_sos(jnp.asarray(sos).at[:, :3].multiply(c[0]), worN=8)[1])
        b, a = sos2tf(jnp.asarray(sos) + c[1] * jnp.array([0, 0, 0, 0, 1.0, 0])[None])
        h = freqz_zpk([-1.0], jax.lax.complex(c, 0 * c), c[0], worN=8)[1]
        direct = jnp.abs(freqz(b, a, worN=8)[1])
        return jnp.sum(gain + direct + jnp.abs(h)) + jnp.sum(group_delay((b, a), w=8)[1])

    check_gradient(loss, jnp.array([0.7, 0.02]), rtol=1e-5)


def test_float32_stays_float32():
    b, a = (jnp.asarray(c, jnp.float32) for c in butter(3, 0.3))
    w, h = freqz(b, a, worN=8)
    assert (w.dtype, h.dtype) == (jnp.float32, jnp.complex64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert group_delay((b, a), w=8)[1].dtype == jnp.float32


def test_mistakes_are_named():
    for match, call in {
        "nonnegative": lambda: freqz([1.0], worN=-1),
        "single scalar": lambda: freqz([1.0], fs=np.array([1.0, 2.0])),
        "can not be none": lambda: freqz_zpk([], [], 1.0, fs=None),
        "must be shape": lambda: freqz_sos(np.ones((2, 5))),
        "no sections": lambda: freqz_sos(np.ones((0, 6))),
        "all ones": lambda: freqz_sos(2 * np.ones((1, 6))),
        "must be 2D": lambda: freqz_sos(np.ones((1, 1, 6))),
    }.items():
        with pytest.raises(ValueError, match=match):
            call()
