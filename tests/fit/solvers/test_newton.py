"""Likelihoods in any unit: what a search by the curvature finds, and where it has converged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2

from filters import Gaussian, LinearGaussian, kalman
from sim import Stepper
from sim.fit import Experiment, Prediction, fit, profile


def noisy(p):
    """White noise of a covariance, as a filter whose state is next to nothing."""
    tiny = 1e-12 * jnp.diag(jnp.diagonal(p))
    return kalman(LinearGaussian(jnp.zeros((2, 2)), tiny, jnp.eye(2), p))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_a_covariance_is_found_in_any_unit(size):
    y = np.random.default_rng(0).normal(size=(80, 2)) @ [[1.0, 0.9], [0.0, 0.3]] * size
    found = fit(
        Prediction(noisy),
        0.5 * size**2 * np.eye(2),
        Experiment(jnp.asarray(y), y),
        parameters={"parameter": "positive_definite"},
        states=Gaussian(np.zeros(2), np.zeros((2, 2))),
    )
    assert found.message.startswith("converged") and not found.uncertainty.open
    np.testing.assert_allclose(found.params, y.T @ y / 80, rtol=1e-5)
    # Of a covariance S of N samples: sd S_ij = √((S_ii S_jj + S_ij²) / N).
    S = found.params
    sd = np.sqrt((np.outer(np.diag(S), np.diag(S)) + S**2) / 80)
    np.testing.assert_allclose(found.uncertainty.standard_error, sd.ravel(), rtol=1e-3)
    if size != 1:
        return

    # Held at s, a variance leaves N/2 (log s + S/s) of the loss, whatever the rest.
    def rise(s):
        return 40 * (np.log(s) + S[0, 0] / s - np.log(S[0, 0]) - 1) - 0.5 * chi2.ppf(0.95, 1)

    got = profile(found, "parameter[0, 0]")
    ends = [brentq(rise, *sorted((S[0, 0], factor * S[0, 0]))) for factor in (0.2, 5.0)]
    np.testing.assert_allclose(got.interval, ends, rtol=1e-4)
    with pytest.raises(ValueError, match=r"name: expected .*, got parameter\[1, 0\]"):
        profile(found, "parameter[1, 0]")


def regression(p):
    filter = kalman(
        LinearGaussian(jnp.zeros((1, 1)), 1e-9 * jnp.eye(1), jnp.eye(1), p["r"][None, None])
    )
    return Stepper(filter.init, lambda c, x: filter.step(c, (x[0] - p["b"] * x[1])[None]))


@pytest.mark.parametrize("unit", [1e-5, 1.0, 1e5])
def test_a_coefficient_that_starts_at_zero_is_found_in_any_unit(unit):
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    y = 2 * x + rng.normal(size=50)
    e = Experiment((jnp.asarray(y), jnp.asarray(unit * x)), y[:, None])
    found = fit(
        Prediction(regression),
        {"b": 0.0, "r": 5.0},
        e,
        parameters={"r": "positive"},
        states=Gaussian(np.zeros(1), np.zeros((1, 1))),
    )
    best = x @ y / (x @ x)
    expected = [best / unit, np.mean((y - best * x) ** 2)]
    np.testing.assert_allclose(found.uncertainty.value, expected, rtol=1e-5)
    assert found.message.startswith("converged") and not found.uncertainty.open
    # Going on is as not having stopped.
    given = (Prediction(regression), {"b": 0.0, "r": 5.0}, e)
    rest = {"parameters": {"r": "positive"}, "states": Gaussian(np.zeros(1), np.zeros((1, 1)))}
    again = fit(*given, **rest, search=fit(*given, **rest, steps=2).search)
    for a, b in zip(jax.tree.leaves(again.search), jax.tree.leaves(found.search), strict=True):
        np.testing.assert_array_equal(a, b)
