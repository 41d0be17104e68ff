"""Order selection: the Gaussian likelihood, and the true order of an autoregression."""

import math

import numpy as np
import pytest
import scipy.stats

from sim.fit.validation.information_criteria import aic, aicc, bic, log_likelihood, select


def test_the_likelihood_of_a_sum_of_squares_is_gaussian_with_its_variance():
    e = np.random.default_rng(1).normal(size=40)
    rss = np.sum(e**2)
    exact = scipy.stats.norm.logpdf(e, scale=np.sqrt(rss / 40)).sum()
    np.testing.assert_allclose(log_likelihood(rss, 40), exact, rtol=1e-13)


def test_bic_finds_the_order_of_an_autoregression():
    rng = np.random.default_rng(2)
    y = np.zeros(600)
    for k in range(3, 600):
        y[k] = 0.5 * y[k - 1] - 0.7 * y[k - 2] + rng.normal()
    fits = {}
    for order in range(1, 7):
        past = np.stack([y[6 - j : -j] for j in range(1, order + 1)], axis=1)
        _, (rss,), *_ = np.linalg.lstsq(past, y[6:], rcond=None)
        fits[order] = log_likelihood(rss, 594), order + 1
    ranked = select(fits, 594)
    assert ranked[0].name == 2
    assert [model.bic for model in ranked] == sorted(model.bic for model in ranked)
    assert abs(sum(model.weight for model in ranked) - 1) < 1e-12
    by_aic = select(fits, 594, by=aic)
    assert [model.aic for model in by_aic] == sorted(model.aic for model in by_aic)


def test_more_parameters_than_samples_and_diverged_fits_come_last():
    assert aicc(-10.0, 9, 10) == math.inf
    assert select({"a": (math.nan, 2), "b": (-10.0, 2)}, 20)[-1].weight == 0
    with pytest.raises(ValueError, match="candidates: expected one with a finite criterion"):
        select({"a": (math.nan, 2)}, 20)
    with pytest.raises(ValueError, match="rss, n: expected numbers above 0"):
        log_likelihood(0.0, 10)
    assert bic(-10.0, 2, 20) == 2 * math.log(20) + 20
