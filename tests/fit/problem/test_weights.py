"""How outputs and priors count: by the noise of each, which is known only afterwards."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import t as student

from sim import Stepper
from sim.fit import Experiment, Prior, Simulation, bands, coloured, fit, profile
from sim.fit.problem.errors import TooFewSamples

RNG = np.random.default_rng(0)
U = RNG.normal(size=(50, 3))


def linear(p):
    """y = B u, without memory: what a regression knows."""
    return Stepper(lambda: jnp.zeros(()), lambda s, u: (s, p["B"] @ u))


LINEAR = Simulation(linear)


def regression(noise, prior):
    """B and the noise, by their two conditions in turn: of the data alone is the noise, of
    degrees of freedom those that priors leave it (MacKay 1992)."""
    truth = np.array([1.0, -0.5, 2.0])
    y = U @ truth + noise * np.random.default_rng(1).normal(size=50)
    known, sd = np.eye(3) / prior.sd**2, 1.0
    for _ in range(500):
        covariance = np.linalg.inv(U.T @ U / sd**2 + known)
        B = covariance @ (U.T @ y / sd**2 + prior.mean / prior.sd**2)
        sd = np.sqrt(np.sum((y - U @ B) ** 2) / (50 - 3 + np.trace(covariance @ known)))
    return y, B, sd, np.linalg.inv(U.T @ U / sd**2 + known)


@pytest.mark.parametrize("prior", [Prior(0.9, 0.01), Prior(0.0, 1.0)])
def test_a_prior_far_off_does_not_outweigh_good_data(prior):
    """Weighted by their spread alone, the data would count for nothing beside it."""
    y, B, sd, covariance = regression(1e-3, prior)
    e = Experiment(U, y[:, None])
    found = fit(LINEAR, {"B": np.zeros((1, 3))}, e, parameters={"B": prior})
    error = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(found.params["B"][0], B, atol=0.05 * error.min())
    np.testing.assert_allclose(found.noise, sd, rtol=0.01)
    np.testing.assert_allclose(found.uncertainty.standard_error, error, rtol=0.01)
    assert found.problem.prior_count == 3


@pytest.mark.parametrize("sd", [0.02, 0.2, 1e6])
def test_a_prior_that_the_data_contradict_keeps_its_standard_deviation(sd):
    """Its row is large, and says nothing of the noise."""
    y, B, noise, covariance = regression(0.5, Prior(0.5, sd))
    found = fit(
        LINEAR, {"B": np.zeros((1, 3))}, Experiment(U, y[:, None]), parameters={"B": Prior(0.5, sd)}
    )
    np.testing.assert_allclose(found.noise, noise, rtol=0.01)
    error = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(found.uncertainty.standard_error, error, rtol=0.01)
    held = np.trace(covariance) / sd**2
    np.testing.assert_allclose(found.uncertainty.degrees, 50 - 3 + held, rtol=1e-3)
    flat = fit(LINEAR, {"B": np.zeros((1, 3))}, Experiment(U, y[:, None]))
    if sd == 1e6:  # it is as none
        np.testing.assert_allclose(found.params["B"], flat.params["B"], rtol=1e-5)
        np.testing.assert_allclose(
            found.uncertainty.covariance, flat.uncertainty.covariance, rtol=1e-6
        )


def test_a_parameter_of_which_the_data_say_nothing_keeps_what_was_known():
    """In its covariance, under coloured residuals, by its profile, and in bands."""

    def apart(p):
        return Stepper(
            lambda: jnp.zeros(()), lambda s, u: (s, (p["b"] * u[0] + p["c"] * u[1])[None])
        )

    u = np.stack([np.linspace(-1, 1, 12), np.zeros(12)], axis=1)
    y = 2 * u[:, :1] + 0.1 * np.random.default_rng(5).normal(size=(12, 1))
    start, e = {"b": 1.0, "c": 5.0}, Experiment(u, y)
    alone = fit(Simulation(apart), start, e, parameters={"c": "fixed"})
    found = fit(Simulation(apart), start, e, parameters={"c": Prior(4.0, 0.3)})
    error = [alone.uncertainty.standard_error[0], 0.3]
    np.testing.assert_allclose(found.uncertainty.standard_error, error, rtol=1e-6)
    assert abs(found.uncertainty.degrees - 11) < 1e-9
    other = [coloured(one).standard_error for one in (alone, found)]
    np.testing.assert_allclose(other[1], [other[0][0], 0.3], rtol=1e-6)
    reach = 0.3 * student.ppf(0.975, 11)
    np.testing.assert_allclose(profile(found, "c").interval, [4 - reach, 4 + reach], rtol=1e-4)
    np.testing.assert_allclose(
        profile(found, "b").interval, profile(alone, "b").interval, rtol=1e-4
    )
    seen = Experiment(np.array([[0.0, 1.0]]), np.zeros((1, 1)))
    np.testing.assert_allclose(bands(found, seen).sd, 0.3, rtol=1e-6)


def test_intervals_with_a_prior_cover_as_stated():
    """Truths drawn from the prior of each, 12 samples: 300 times."""
    rng, inside = np.random.default_rng(6), []
    prior, u = Prior(1.0, 0.2), U[:12]
    for _ in range(300):
        truth = rng.normal(1.0, 0.2, 3)
        y = u @ truth + 0.5 * rng.normal(size=12)
        found = fit(
            LINEAR, {"B": np.ones((1, 3))}, Experiment(u, y[:, None]), parameters={"B": prior}
        )
        low, high = found.uncertainty.interval(0.9).T
        inside.append((low <= truth) & (truth <= high))
    assert 0.88 <= np.mean(inside) <= 0.94


def test_priors_are_data_too():
    """Two samples, three unknowns: refused, unless something is known beforehand."""
    e = Experiment(U[:2], np.array([[1.0], [2.0]]))
    with pytest.raises(TooFewSamples, match="more samples than unknowns, got 2 samples for"):
        fit(LINEAR, {"B": np.ones((1, 3))}, e)
    known = {"B": {"mean": 0.0, "sd": 1.0}}
    found = fit(LINEAR, {"B": np.ones((1, 3))}, e, parameters=known, steps=9)
    assert np.isfinite(found.params["B"]).all()


def test_few_samples_have_intervals_by_students_t():
    """Seven samples of a regression: its exact interval, wider than the normal's."""
    y = U[:7] @ [1.0, 2.0, 3.0] + 0.1 * np.random.default_rng(3).normal(size=7)
    found = fit(LINEAR, {"B": np.ones((1, 3))}, Experiment(U[:7], y[:, None])).uncertainty
    B, squares = np.linalg.lstsq(U[:7], y)[:2]
    error = np.sqrt(squares / 4 * np.diagonal(np.linalg.inv(U[:7].T @ U[:7])))
    exact = B[:, None] + student.ppf(0.95, 4) * error[:, None] * [-1, 1]
    np.testing.assert_allclose(found.interval(0.9), exact, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("noise", [[0.0, 0.0, 0.0], [0.5, 0.0, 1e-4]])
def test_outputs_without_noise_leave_the_others_their_weight(noise, dtype):
    truth = np.array([[1.0, 2.0, 0.0], [3e4, 0.0, 1e4], [0.0, 1e-3, 1e-3]])
    y = U @ truth.T + noise * np.random.default_rng(2).normal(size=(50, 3))
    y[::7, 0] = np.nan
    e = Experiment(U.astype(dtype), y.astype(dtype))
    found = fit(LINEAR, {"B": np.ones((3, 3), dtype)}, e)
    assert "converged" in found.message and "diverged" not in found.message
    assert not found.uncertainty.open
    reach = 5 * found.uncertainty.standard_error.reshape(3, 3)
    reach += 1e-5 * np.abs(truth).max(axis=1, keepdims=True)
    assert (np.abs(found.params["B"] - truth) <= reach).all()
    loud = np.array(noise) > 0
    np.testing.assert_allclose(found.noise[loud], np.array(noise)[loud], rtol=0.3)
