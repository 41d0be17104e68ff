"""Known filters, found again from their magnitude, their response and noisy records."""

import numpy as np
import pytest
import scipy.signal

from filters.iir.fitting import fit_records, fit_response
from filters.iir.stable import polar, reflection

SOS = scipy.signal.cheby1(4, 1, 0.3, output="sos")
W = np.linspace(0.01, 3.1, 60)
H = scipy.signal.freqz_sos(SOS, W)[1]


def poles(sos):
    return np.sort_complex(np.concatenate([np.roots(row[3:]) for row in np.asarray(sos)]))


def test_a_fourth_order_filter_from_its_magnitude():
    fit = fit_response(W, np.abs(H), 2)
    assert fit.filter.shape == (2, 6) and fit.loss.shape == (101,)
    assert fit.loss[-1] < 1e-15 < fit.loss[0] and np.all(np.diff(fit.loss) <= 0)
    np.testing.assert_allclose(poles(fit.filter), poles(SOS), rtol=0, atol=1e-6)


def test_from_a_complex_response_in_hertz_with_weights_by_pole_radius_and_angle():
    weights = 1 / np.maximum(np.abs(H), 1e-3)
    fit = fit_response(W * 8000 / np.pi, H, 2, fs=16000, weights=weights, parametrisation=polar)
    found = scipy.signal.freqz_sos(np.asarray(fit.filter), W)[1]
    np.testing.assert_allclose(found, H, rtol=1e-6)


def test_weights_say_where_to_be_near():
    narrow = np.where(W < 1, 1.0, 0.0)
    target = np.where(W < 1, 0.5 + 0.2 * W, 10.0)  # nothing stable of order 2 jumps so
    fit = fit_response(W, target, 1, weights=narrow)
    found = np.abs(scipy.signal.freqz_sos(np.asarray(fit.filter), W)[1])
    assert np.abs(found - target)[W < 1].max() < 1e-2 < np.abs(found - target)[W > 1].min()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_from_noisy_records_with_samples_missing(dtype):
    rng, noise = np.random.default_rng(0), 0.02
    x = rng.normal(size=(2, 400)).astype(dtype)
    y = scipy.signal.sosfilt(SOS, x).astype(dtype)
    y += noise * rng.normal(size=y.shape).astype(dtype)
    y[0, 50:70] = np.nan
    fit = fit_records(x, y, 2)
    assert fit.filter.dtype == dtype and fit.loss.dtype == dtype
    # What is left is the noise: 780 samples less the nine numbers of the filter.
    left = 2 * float(fit.loss[-1]) / noise**2
    assert abs(left - 771) < 4 * np.sqrt(2 * 771)
    found = scipy.signal.freqz_sos(np.asarray(fit.filter, float), W)[1]
    assert np.abs(found - H).max() < 0.01 and np.abs(poles(fit.filter)).max() < 1


def test_a_transfer_function_from_a_start_and_only_a_part_of_the_record():
    b, a = np.array([0.5, 0.2]), np.poly([0.8, -0.5, 0.3])
    x = np.random.default_rng(1).normal(size=200)
    y = scipy.signal.lfilter(b, a, x)
    y[:20] += 5  # not from rest
    weights = np.where(np.arange(200) < 20, 0.0, 1.0)
    start = (np.array([1.0, 0.0]), np.array([1.0, 0.0, 0.0, 0.0]))
    found = fit_records(x, y, start, weights=weights, parametrisation=reflection, steps=40)
    np.testing.assert_allclose(found.filter[0], b, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.filter[1], a, rtol=0, atol=1e-8)


def test_a_zero_on_the_circle_has_no_nan_for_a_slope():
    notch = np.array([[1.0, 0.0, 1.0, 1.0, 0.0, 0.5]])
    w = np.pi * np.arange(1, 61) / 60  # π/2, where it is 0, among them
    fit = fit_response(w, np.abs(scipy.signal.freqz_sos(notch, w)[1]), 1)
    assert fit.loss[-1] < 1e-12


def test_mistakes_are_named():
    x, unstable = np.ones(5), [[1.0, 0.0, 0.0, 1.0, -2.1, 1.2]]
    cases = [
        (lambda: fit_response(W, H[:-1], 2), r"target: expected shape \(60,\), that of w, got"),
        (lambda: fit_response(W, -np.abs(H), 2), "target: expected a magnitude of at least 0"),
        (lambda: fit_response(W, np.abs(H), 0), "start: expected at least one section, got 0"),
        (lambda: fit_response(W, H * np.nan, 2), "target: expected finite numbers"),
        (lambda: fit_response(W, H, unstable), "start: sos: expected poles inside the unit"),
        (lambda: fit_response(W, H, SOS, parametrisation=reflection), r"start: .* pair \(b, a\)"),
        (lambda: fit_response(W, H, ([1.0, 0.5], [1.0, 0.5])), "start: sos: expected shape"),
        (lambda: fit_response(W, H, 2, steps=0), "steps: expected an integer of at least 1"),
        (lambda: fit_response(W, H, 2, weights=np.ones(3)), "weights: expected real numbers of"),
        (lambda: fit_response(W, H, 2, fs=0.0), "fs: expected a sampling frequency above 0"),
        (lambda: fit_records(x, x[:4], 1), "y: expected a real record like x"),
        (lambda: fit_records(x * np.inf, x, 1), "x: expected finite numbers"),
        (lambda: fit_records(x, x * np.inf, 1), "y: expected finite numbers"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
