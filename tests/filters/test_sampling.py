"""Samples of the state path against the joint posterior."""

import jax
import numpy as np
import pytest

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.sampling import backward_sampler, posterior_samples
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import joint, posterior, random_case
from tests.filters.test_kalman import as_xs


def run(model, prior, xs):
    stepper = kalman(model)
    return rollout(stepper.step, stepper.init(prior), xs)[1]


filtered = quick(run)
samples = quick(posterior_samples, static_argnums=2)


def test_moments_at_and_between_steps_are_those_of_the_joint_posterior():
    prior, models, inputs, ys = case = random_case(2, 1, 1, 5, 7, 0.2)
    estimates = filtered(
        LinearGaussian(**models[0]), Gaussian(*prior), as_xs(models, inputs, ys, False)
    )
    count = 40_000
    paths = np.asarray(samples(jax.random.key(1), estimates, count))
    means, _, _ = posterior(*case)
    # The joint covariance, conditioned on all rows at once.
    _, cov = joint(prior, models, inputs)
    seen = ~np.isnan(ys[:, 0])
    H = np.kron(np.eye(6)[1:], models[0]["H"])[seen]
    S = H @ cov @ H.T + models[0]["R"][0, 0] * np.eye(seen.sum())
    cov = (cov - cov @ H.T @ np.linalg.solve(S, H @ cov))[2:, 2:]
    scale = np.sqrt(np.diag(cov))
    flat = paths.reshape(count, -1)
    z = (flat.mean(0) - means[1:].ravel()) / (scale / np.sqrt(count))
    assert np.abs(z).max() < 4.5
    error = (np.cov(flat.T) - cov) / np.outer(scale, scale)
    assert np.abs(error).max() < 4.5 * np.sqrt(2 / count)


def test_a_state_without_noise_is_drawn_exactly():
    # A constant velocity without process noise: the path is a straight line.
    model = LinearGaussian([[1.0, 1.0], [0.0, 1.0]], np.zeros(2), [[1.0, 0.0]], [1.0])
    for dtype, tolerance in ((np.float64, 1e-6), (np.float32, 3e-2)):
        case = jax.tree.map(
            lambda a, dtype=dtype: np.asarray(a, dtype),
            (model, Gaussian(np.zeros(2), np.eye(2)), np.arange(6.0)[:, None]),
        )
        paths = samples(jax.random.key(0), filtered(*case), 50)
        assert paths.dtype == dtype
        assert np.all(np.isfinite(paths))
        np.testing.assert_allclose(np.diff(paths[..., 0], 2, axis=1), 0, atol=tolerance)
        assert paths[:, -1, 0].std() > 0.1


def test_gradients_through_a_path():
    prior, models, inputs, ys = random_case(2, 1, 1, 6, 7, 0.2)
    model, xs = LinearGaussian(**models[0]), as_xs(models, inputs, ys, False)
    noise = np.random.default_rng(0).normal(size=(6, 2))

    def total(F):
        estimates = run(model._replace(F=F), Gaussian(*prior), xs)
        sampler = backward_sampler()
        pair = (estimates, noise)
        return rollout(sampler.step, sampler.init(estimates), pair, reverse=True)[1].sum()

    check_gradient(total, model.F, rtol=1e-5)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="count: expected an integer of at least 1, got 0"):
        posterior_samples(jax.random.key(0), Gaussian(np.zeros((2, 1)), np.ones((2, 1, 1))), 0)
