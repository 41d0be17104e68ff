"""Diagnostics against scipy, statsmodels' values and simulation, with gaps, jit and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from filters.chi_square import chi2_quantile
from filters.diagnostics import (
    autocorrelation,
    chi2_bounds,
    consistency,
    degrees,
    jarque_bera,
    ljung_box,
    nees,
    nis,
    standardise,
)
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from sim import rollout
from tests.filters.derivatives import quick

WAVE = np.sin(np.arange(40) ** 1.5)
GAPS = np.where(np.isin(np.arange(40), [3, 4, 17]), np.nan, WAVE)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_chi_square_quantiles_are_scipy_s(dtype):
    p = np.array([1e-5, 0.001, 0.025, 0.05, 0.3, 0.5, 0.7, 0.95, 0.975, 0.999])[:, None]
    k = np.array([0.5, 1, 2, 3, 5, 10, 100, 1000])[None]
    p, k = (np.broadcast_to(a, (10, 8)).astype(dtype) for a in (p, k))
    found = quick(chi2_quantile)(p, k)
    assert found.dtype == dtype
    exact = scipy.stats.chi2.ppf(p.astype(float), k.astype(float))
    np.testing.assert_allclose(found, exact, rtol=1e-12 if dtype == "float64" else 2e-5)


def test_chi_square_quantiles_at_the_ends():
    assert chi2_quantile(0.0, 3) == 0 and chi2_quantile(1.0, 3) == np.inf
    assert chi2_quantile(0.5, 0) == 0 and chi2_quantile(1.0, 0) == 0
    with pytest.raises(ValueError, match="p: expected a probability"):
        chi2_quantile(1.5, 3)
    with pytest.raises(ValueError, match="level: expected a probability"):
        chi2_bounds(3, level=95)


def test_a_missing_component_takes_its_row_and_its_degree_with_it():
    a = RNG.normal(size=(5, 3, 3))
    S, v = a @ a.swapaxes(1, 2), RNG.normal(size=(5, 3))
    v[1, 0] = v[3, 2] = np.nan
    v[4] = np.nan
    found = jax.jit(nis)(v, S)
    for k in range(5):
        seen = ~np.isnan(v[k])
        exact = v[k][seen] @ np.linalg.solve(S[k][np.ix_(seen, seen)], v[k][seen])
        np.testing.assert_allclose(found[k], exact, rtol=1e-10, atol=1e-15)
    assert degrees(v).tolist() == [3, 2, 3, 2, 0]
    np.testing.assert_array_equal(np.isnan(standardise(v, S)), np.isnan(v))
    np.testing.assert_allclose(jax.vmap(nis)(v, S), found)
    with pytest.raises(ValueError, match=r"S: expected \(..., m, m\)"):
        nis(v, S[:, :2])


@pytest.fixture(scope="module")
def runs():
    """200 records of a model, each filtered with the model that made it, with gaps."""
    F, L = np.array([[1.0, 0.1], [-0.2, 0.9]]), np.array([[0.3, 0.0], [0.1, 0.2]])
    model = LinearGaussian(F=F, Q=L @ L.T, H=np.eye(2), R=np.array([[1.0, 0.5], [0.5, 2.0]]))
    x, xs, ys = RNG.normal(size=(200, 2)), [], []
    for _ in range(60):
        x = x @ F.T + RNG.normal(size=x.shape) @ L.T
        xs.append(x)
        ys.append(x + RNG.normal(size=x.shape) @ np.linalg.cholesky(model.R).T)
    truth, y = np.stack(xs, axis=1), np.stack(ys, axis=1)
    y[RNG.random(y.shape) < 0.2] = np.nan
    prior = Gaussian(np.zeros(2), np.eye(2))

    def filtered(y, wrong=1.0):
        stepper = kalman(model._replace(Q=wrong * model.Q))
        return rollout(stepper.step, stepper.init(prior), y)[1]

    return quick(jax.vmap(filtered, (0, None))), truth, y


def inside(found):
    return np.mean((found.lower <= found.mean) & (found.mean <= found.upper))


def test_a_right_model_passes_and_a_wrong_one_fails(runs):
    filtered, truth, y = runs
    good, wrong = filtered(y, 1.0), filtered(y, 0.05)
    count = np.asarray(degrees(y))

    @quick
    @jax.vmap
    def tests(estimates, count):
        z = standardise(estimates.innovation, estimates.S)
        return (
            consistency(nis(estimates.innovation, estimates.S), count),
            ljung_box(z, 8),
            jarque_bera(z),
        )

    @quick
    def over_the_runs(estimates):
        return consistency(nees(truth[:, 30] - estimates.m[:, 30], estimates.P[:, 30]), 2)

    by_nis, white, normal = jax.tree.map(np.asarray, tests(good, count))
    assert 0.90 < inside(by_nis) < 0.99
    np.testing.assert_allclose(np.mean(by_nis.p < 0.05), 1 - inside(by_nis), atol=1e-6)
    assert 0.88 < np.mean(np.asarray(white.p) > 0.05) < 0.99
    assert 0.88 < np.mean(np.asarray(normal.p) > 0.05) < 1.0
    # NEES is correlated in time: over the runs, at one time, it is not.
    assert inside(over_the_runs(good)) == 1
    assert inside(tests(wrong, count)[0]) < 0.5
    assert inside(over_the_runs(wrong)) == 0


def test_bounds_of_one_step_and_of_an_average():
    for bounds, df, count in ((chi2_bounds(3, 0.99), 3, 1), (chi2_bounds(40, 0.99, 20), 40, 20)):
        np.testing.assert_allclose(bounds, scipy.stats.chi2.ppf([0.005, 0.995], df) / count)


def test_autocorrelation_and_whiteness_are_those_of_statsmodels():
    # statsmodels 0.15: acf(WAVE), acf(GAPS, missing="conservative"), acorr_ljungbox(model_df=1)
    found = quick(autocorrelation, static_argnums=1)(np.stack([WAVE, GAPS], axis=1), 4)
    exact = [
        [-0.04748958, 0.06040376, 0.10874619, -0.06900196],
        [-0.00204776, -0.04817496, 0.08637496, -0.09292916],
    ]
    np.testing.assert_allclose(found.r.T, exact, atol=5e-9)
    np.testing.assert_allclose(found.bound[0, 0], 1.959964 * np.sqrt(39 / (40 * 42)), rtol=1e-6)
    test = quick(lambda z: ljung_box(z, 4, fitted=1))(WAVE)
    np.testing.assert_allclose(test, (1.017602, 0.796993), rtol=1e-6)


def test_normality_is_that_of_scipy_with_gaps_left_out():
    exact = scipy.stats.jarque_bera(GAPS[~np.isnan(GAPS)])
    np.testing.assert_allclose(
        quick(jarque_bera)(GAPS), (exact.statistic, exact.pvalue), rtol=1e-12
    )
    assert jax.eval_shape(jarque_bera, GAPS.astype("float32")).p.dtype == "float32"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ljung_box(WAVE, 40), "lags: expected 1 to 39"),
        (lambda: ljung_box(WAVE, 3, fitted=3), "fitted: expected at least 0 and below the 3 lags"),
        (lambda: autocorrelation(WAVE, 0), "lags: expected 1 to 39"),
    ],
)
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_diagnostics_differentiate():
    def total_nis(scale):
        return jnp.sum(nis((GAPS - scale)[:, None], jnp.ones((40, 1, 1))))

    slope = -2 * np.nansum(GAPS - 1)
    for derivative in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(quick(derivative(total_nis))(1.0), slope, rtol=1e-12)
