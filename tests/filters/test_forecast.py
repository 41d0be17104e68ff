"""Forecasts against the joint Gaussian, and how often their intervals hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.forecast import forecast, interval
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from sim import rollout
from tests.filters.derivatives import quick
from tests.filters.oracle import full, posterior, random_case
from tests.filters.test_kalman import as_xs


def run(model, belief, xs):
    stepper = forecast(kalman(model))
    return rollout(stepper.step, stepper.init(belief), xs)[1]


ahead = quick(run)


@quick
def filtered(model, prior, xs):
    stepper = kalman(model)
    return rollout(stepper.step, stepper.init(prior), xs)[1]


@pytest.mark.parametrize(("n", "m", "varying"), [(3, 2, True), (2, 1, False), (2, 0, False)])
def test_equals_the_joint_gaussian_conditioned_up_to_a_point(n, m, varying):
    prior, models, inputs, ys = case = random_case(n, m, 2, 8, 11, 0.2, varying)
    model, xs = LinearGaussian(**models[0]), as_xs(models, inputs, ys, varying)
    estimates = filtered(model, Gaussian(*prior), xs)
    for k in (1, 4):
        got = ahead(
            model,
            Gaussian(estimates.m[k - 1], estimates.P[k - 1]),
            jax.tree.map(lambda x, k=k: x[k:], xs),
        )
        means, covs, _ = posterior(*case, upto=k)
        for h in range(8 - k):
            step, u = models[k + h], inputs[k + h]
            m, P = means[k + 1 + h], covs[k + 1 + h]
            mu = step["H"] @ m + step["D"] @ u + step["d"]
            S = step["H"] @ P @ step["H"].T + full(step["R"])
            for a, b in zip(jax.tree.map(lambda a, h=h: a[h], got), (m, P, mu, S), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_the_intervals_hold_as_often_as_they_say():
    prior, models, _, _ = random_case(2, 2, 1, 1, 3)
    m = models[0]
    model = LinearGaussian(m["F"], m["Q"], m["H"], m["R"])
    future = ahead(model, Gaussian(*prior), np.full((5, 2), np.nan))
    rng, count, level = np.random.default_rng(0), 20_000, 0.8

    def draw(cov):
        return rng.multivariate_normal(np.zeros(2), cov, count)

    x = prior[0] + draw(prior[1])
    low, high = map(np.asarray, interval(future.m, future.P, level))
    lower, upper = map(np.asarray, interval(future.mu, future.S, level))
    for h in range(5):
        x = x @ m["F"].T + draw(m["Q"])
        y = x @ m["H"].T + draw(m["R"])
        held = [(low[h] < x) & (x < high[h]), (lower[h] < y) & (y < upper[h])]
        z = (np.mean(held, axis=1) - level) / np.sqrt(level * (1 - level) / count)
        assert np.abs(z).max() < 4.5


def test_from_every_point_at_once_in_float32_and_its_gradient():
    prior, models, inputs, ys = random_case(2, 1, 1, 6, 2, 0.2)
    model = LinearGaussian(**models[0])
    xs = {"y": np.full((3, 1), np.nan), "u": np.zeros((3, 1))}
    estimates = filtered(model, Gaussian(*prior), as_xs(models, inputs, ys, False))
    beliefs = Gaussian(estimates.m, estimates.P)
    fan = jax.vmap(ahead, in_axes=(None, 0, None))(model, beliefs, xs)
    one = ahead(model, jax.tree.map(lambda a: a[4], beliefs), xs)
    np.testing.assert_allclose(fan.S[4], one.S, rtol=1e-12)
    case = jax.tree.map(lambda a: np.asarray(a, np.float32), (model, beliefs, xs))
    single = ahead(case[0], jax.tree.map(lambda a: a[4], case[1]), case[2])
    assert all(a.dtype == np.float32 for a in jax.tree.leaves((single, interval(*single[2:]))))
    np.testing.assert_allclose(single.mu, one.mu, atol=1e-4)

    def total(b):
        belief = jax.tree.map(lambda a: a[0], beliefs)
        return run(model._replace(b=b), belief, xs).mu.sum()

    F, H = models[0]["F"], models[0]["H"][0]
    expected = sum(H @ np.linalg.matrix_power(F, j) * (3 - j) for j in range(3))
    for derivative in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(
            quick(derivative(total))(jnp.asarray(model.b)), expected, rtol=1e-9
        )


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="level: expected a probability between 0 and 1, got 95"):
        interval(np.zeros(1), np.eye(1), 95)
    with pytest.raises(ValueError, match=r"cov: expected shape \(3, 2, 2\)"):
        interval(np.zeros((3, 2)), np.eye(2))
    stepper = forecast(kalman(LinearGaussian([[1.0]], [1.0], [[1.0]], [1.0])))
    with pytest.raises(ValueError, match="xs: expected an observation under 'y'"):
        rollout(stepper.step, stepper.init(Gaussian([0.0], [[1.0]])), {"u": np.zeros((3, 1))})
