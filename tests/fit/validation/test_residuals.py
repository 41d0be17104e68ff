"""Residuals and criteria of a finished fit, against least squares by hand and a likelihood."""

import jax.numpy as jnp
import numpy as np

from filters import Gaussian, LinearGaussian, kalman
from sim import Stepper
from sim.fit import Experiment, Prediction, Simulation, criteria, fit, residuals, whiteness


def test_a_regression_of_two_records_and_two_outputs_with_gaps():
    random = np.random.default_rng(0)
    us = [random.normal(size=n) for n in (30, 20)]
    ys = [np.stack([2 * u, -u], axis=1) + random.normal(size=(len(u), 2)) * [0.1, 3.0] for u in us]
    ys[0][4, 1] = np.nan

    def model(p):
        return Stepper(lambda: 0.0, lambda s, u: (s, u * p))

    experiments = [Experiment(jnp.asarray(u), y) for u, y in zip(us, ys, strict=True)]
    result = fit(Simulation(model), jnp.zeros(2), experiments)
    u, y = np.concatenate(us), np.concatenate(ys)
    expected = 0.0
    for i in range(2):
        seen = ~np.isnan(y[:, i])
        slope = u[seen] @ y[seen, i] / (u[seen] @ u[seen])
        e = y[:, i] - slope * u
        np.testing.assert_allclose(np.concatenate(residuals(result))[:, i], e, atol=1e-6)
        variance = np.mean(e[seen] ** 2)
        expected += np.sum(-0.5 * (e[seen] ** 2 / variance + np.log(2 * np.pi * variance)))
    got = criteria(result)
    assert (got.params, got.samples) == (4, 99)
    np.testing.assert_allclose(got.loglik, expected, rtol=1e-9)
    np.testing.assert_allclose(got.aic, 8 - 2 * expected, rtol=1e-9)
    np.testing.assert_allclose(got.bic, 4 * np.log(99) - 2 * expected, rtol=1e-9)
    assert "white" in whiteness(residuals(result)[0]).words


def test_the_likelihood_is_that_of_the_filter_without_the_priors():
    y = np.random.default_rng(1).normal(size=(40, 1)) * 2.0

    def model(p):
        return kalman(LinearGaussian([[0.0]], [[1e-12]], [[1.0]], p["R"][None, None]))

    prior = Gaussian(np.zeros(1), np.eye(1) * 1e-12)
    result = fit(
        Prediction(model),
        {"R": 1.0},
        Experiment(jnp.asarray(y), y),
        states=prior,
        parameters={"R": {"kind": "positive", "mean": 3.0, "sd": 2.0}},
    )
    R, got = float(result.params["R"]), criteria(result)
    expected = -0.5 * np.sum(y**2 / R + np.log(2 * np.pi * R))
    np.testing.assert_allclose(got.loglik, expected, rtol=1e-9)
    assert (got.params, got.samples) == (1, 40)
    np.testing.assert_allclose(residuals(result)[0], y, atol=1e-9)
