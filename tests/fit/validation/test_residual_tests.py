"""Residual tests: published formulas, false alarm rates, power, gaps and messages."""

import numpy as np
import pytest
from scipy.signal import lfilter

from filters.diagnostics import autocorrelation, ljung_box
from sim.fit.validation.cross_correlation import cross_correlation
from sim.fit.validation.whiteness import whiteness
from tests.filters.derivatives import quick

RNG = np.random.default_rng(5)
E = RNG.normal(size=(300, 2))


@quick
def filters(e):
    return autocorrelation(e, 10, level=0.9), ljung_box(e, 10, fitted=2)


@pytest.mark.parametrize("gaps", [False, True])
def test_whiteness_agrees_with_the_filters(gaps):
    e = E.copy()
    if gaps:
        e[RNG.random(e.shape) < 0.1] = np.nan
    result = whiteness(e, 10, fitted=2, level=0.9)
    theirs, box = filters(e)
    np.testing.assert_allclose(result.correlation, theirs.r, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(result.bound, theirs.bound, rtol=1e-12)
    np.testing.assert_allclose(result.p, box.p, rtol=1e-10)
    alone = whiteness(e[:, 1], 10, fitted=2)
    np.testing.assert_allclose(alone.correlation, result.correlation[:, 1])
    assert alone.p.shape == ()


def coloured(seed, n, pole):
    return lfilter([1], [1, -pole], np.random.default_rng(seed).normal(size=n + 100))[100:]


@pytest.mark.parametrize("colour_e, colour_u", [(0.0, 0.95), (0.9, 0.9), (-0.8, 0.0)])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_independent_records_pass_at_the_stated_rate_for_any_spectrum(colour_e, colour_u, missing):
    runs, outside, p, back = 200, [], [], []
    for run in range(runs):
        e, u = coloured(2 * run, 600, colour_e), coloured(2 * run + 1, 600, colour_u)
        e[np.random.default_rng(run).random(600) < missing] = np.nan
        result = cross_correlation(e, u, 10)
        outside.append(np.mean(abs(result.correlation) > result.bound))
        p.append(result.p)
        back.append(result.p_feedback)
    assert 0.025 < np.mean(outside) < 0.08
    for chance in (p, back):
        assert 0.005 < np.mean(np.array(chance) < 0.05) < 0.10


def test_the_bound_is_the_formula_for_white_residuals():
    e, u = E.T
    result = cross_correlation(e, u, 5)
    assert abs(result.bound * np.sqrt(300) / 1.96 - 1) < 0.15
    a, b = e - e.mean(), u - u.mean()
    scale = np.sqrt(np.sum(a**2) * np.sum(b**2))
    exact = [np.sum(a[k:] * b[: 300 - k]) / scale for k in range(6)]
    np.testing.assert_allclose(result.correlation[5:], exact, atol=1e-14)
    exact = [np.sum(b[k:] * a[: 300 - k]) / scale for k in range(1, 6)]
    np.testing.assert_allclose(result.correlation[4::-1], exact, atol=1e-14)


def test_a_remaining_effect_of_the_input_is_reported_by_output_input_and_lag():
    u = np.stack([coloured(1, 400, 0.5), coloured(2, 400, 0.5)], axis=1)
    e = np.random.default_rng(3).normal(size=(400, 2))
    e[3:, 1] += 0.5 * u[:-3, 0]
    result = cross_correlation(e, u, 8)
    assert result.correlation.shape == (17, 2, 2) and result.p.shape == (2, 2)
    assert (result.p < 0.05).tolist() == [[False, False], [True, False]]
    assert "residual and input (1, 0) correlated: lag 3 has 0." in result.words
    assert "is not all modelled" in result.words


def test_feedback_correlates_at_negative_lags():
    e = np.random.default_rng(6).normal(size=500)
    u = np.random.default_rng(7).normal(size=500)
    u[2:] += e[:-2]
    result = cross_correlation(e, u, 8)
    assert result.p > 0.05 > result.p_feedback
    assert "lag -2 has" in result.words and "feedback" in result.words


def test_an_input_of_few_lines_is_tested_in_the_directions_that_it_excites():
    u = np.sin(0.3 * np.arange(2000))
    quiet = [cross_correlation(coloured(k, 2000, 0.0), u, 10).p for k in range(200)]
    assert 0.3 < np.median(quiet) < 0.7 and np.mean(np.array(quiet) < 0.05) < 0.10
    assert cross_correlation(coloured(1, 2000, 0.0) + 0.2 * u, u, 10).p < 0.01


def test_the_verdict_names_the_output_and_the_lag():
    e = E.copy()
    e[3:, 1] += 0.8 * E[:-3, 1]
    result = whiteness(e, 20)
    assert result.words.startswith("residual of output 1 not white: lag 3 has 0.48, bound 0.11 at")
    assert "output 0" not in result.words
    assert whiteness(np.full(50, 0.1)).words == "residual white at 95 %"


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="u: expected an input that varies, got input 1 constant"):
        cross_correlation(E[:, 0], np.stack([E[:, 1], np.full(300, 0.1)], axis=1))
    with pytest.raises(
        ValueError, match=r"residual: expected the lengths of u, \[300\], got \[299\]"
    ):
        cross_correlation(E[1:], E)
    with pytest.raises(ValueError, match="lags: expected an integer from 1 to 299, got 300"):
        whiteness(E, 300)
    with pytest.raises(ValueError, match="fitted: expected at least 0 and below the 5 lags"):
        whiteness(E, 5, fitted=5)
    with pytest.raises(ValueError, match="level: expected a probability"):
        whiteness(E, level=95)
