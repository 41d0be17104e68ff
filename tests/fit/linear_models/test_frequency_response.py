"""The best linear approximation: known responses, true variances, mistakes."""

import numpy as np
import pytest
from scipy.signal import freqz, lfilter

from sim.fit.linear_models.frequency_response import best_linear

B, A = [0.2, 0.3], [1.0, -1.2, 0.5]
N, DT = 128, 0.01
HARMONICS = np.arange(1, 40, 2)


def multisine(rng):
    phases = rng.uniform(0, 2 * np.pi, len(HARMONICS))
    t = np.arange(N)[:, None] / N
    return np.sum(np.cos(2 * np.pi * HARMONICS * t + phases), axis=1)


def realisations(count, periods, noise, cubic, seed):
    rng, us, ys = np.random.default_rng(seed), [], []
    for _ in range(count):
        u = np.tile(multisine(rng), periods + 3)
        y = lfilter(B, A, u + cubic * u**3)
        us.append(u)
        ys.append(y + noise * rng.normal(size=y.shape))
    return us, ys


def exact(frequency):
    return freqz(B, A, 2 * np.pi * frequency * DT)[1]


def test_periods_of_a_linear_system_give_its_response_at_the_excited_lines():
    (u,), (y,) = realisations(1, 2, 0.0, 0.0, seed=0)
    result = best_linear(u, y, DT, period=N, settle=3)
    np.testing.assert_allclose(result.frequency, HARMONICS / (N * DT))
    np.testing.assert_allclose(result.response, exact(result.frequency), rtol=1e-9)
    assert np.max(result.noise_variance) < 1e-20 and np.all(np.isnan(result.total_variance))


def test_both_variances_of_a_linear_system_are_those_of_the_noise():
    us, ys = realisations(20, 4, 0.5, 0.0, seed=1)
    result = best_linear(us, ys, DT, period=N, settle=3)
    # White noise has the power 0.25 on every line, and a line of the input N / 4.
    expected = 0.25 / (20 * 4 * N / 4)
    for variance in (result.noise_variance, result.total_variance):
        np.testing.assert_allclose(np.mean(variance), expected, rtol=0.2)
    misses = abs(result.response - exact(result.frequency)) ** 2
    np.testing.assert_allclose(np.mean(misses), expected, rtol=0.6)


def test_a_cubic_changes_the_response_by_its_bussgang_gain_and_only_the_total_variance():
    us, ys = realisations(40, 2, 0.1, 0.02, seed=2)
    result = best_linear(us, ys, DT, period=N, settle=3)
    power = len(HARMONICS) / 2
    # Of a multisine each line is a little less excited by itself than in Gaussian noise.
    gain = 1 + 0.02 * 3 * (power - 0.25)
    np.testing.assert_allclose(np.mean(result.response / exact(result.frequency)), gain, rtol=0.02)
    assert np.median(result.total_variance / result.noise_variance) > 20
    misses = abs(result.response - gain * exact(result.frequency)) ** 2
    assert 0.3 < np.mean(misses / result.total_variance) < 3


def test_input_noise_that_the_output_follows_is_not_noise_of_the_response():
    rng = np.random.default_rng(3)
    u = np.tile(multisine(rng), 6)
    u = u + 0.1 * rng.normal(size=u.shape)
    both = best_linear(
        u, np.stack([2 * u, 2 * u + 0.1 * rng.normal(size=u.shape)], axis=1), DT, period=N
    )
    assert both.response.shape == both.noise_variance.shape == (len(both.frequency), 2)
    assert np.max(both.noise_variance[:, 0]) < 1e-20 < 1e-8 < np.min(both.noise_variance[:, 1])


@pytest.mark.parametrize("records", [1, 6])
def test_a_random_record_gives_the_response_within_its_variance(records):
    rng = np.random.default_rng(4)
    us = list(rng.normal(size=(records, 2048)))
    ys = [lfilter(B, A, u) + 0.3 * rng.normal(size=u.shape) for u in us]
    result = best_linear(us, ys, DT)
    ratio = abs(result.response - exact(result.frequency)) ** 2 / result.total_variance
    # Of χ² with two degrees over its mean, a little wider as the variance is estimated.
    assert 0.6 < np.median(ratio) < 0.85
    assert 0.03 < np.mean(ratio > 3) < 0.12


def test_a_transient_causes_less_error_than_in_a_quotient_of_spectra():
    u = np.random.default_rng(5).normal(size=2048)
    y = lfilter(B, A, u)
    result = best_linear(u, y, DT)
    truth = exact(result.frequency)
    quotient = (np.fft.rfft(y) / np.fft.rfft(u))[1:1024]
    local = np.linalg.norm(result.response - truth)
    assert local < 1e-2 * np.linalg.norm(quotient - truth)
    assert local < 1e-3 * np.linalg.norm(truth)


def test_mistakes_are_named():
    u, y = np.random.default_rng(6).normal(size=(2, 64))
    for args, options, message in [
        ((np.full(64, 0.1), y), {"period": 16}, "u: expected an input that varies, got a constant"),
        ((u, y), {"period": 65}, "period, settle: expected a whole period .* in a record of 64"),
        ((u, y), {"period": 16, "settle": 4}, "got period 16 and settle 4 in a record of 64"),
        ((u, y), {"period": 16, "harmonics": [3, 9]}, r"harmonics: expected lines .* got \[9\]"),
        ((u[:20], y[:20]), {}, "y: expected at least 34 samples, got 20"),
        (([u, u[1:]], [y, y[1:]]), {}, r"y: expected records of one length, got \[64, 63\]"),
        ((np.stack([u, u], axis=1), y), {}, "u: expected one input, got 2 columns"),
        ((u, np.where(y > 1, np.inf, y)), {}, "y: expected finite numbers, got inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            best_linear(*args, DT, **options)
