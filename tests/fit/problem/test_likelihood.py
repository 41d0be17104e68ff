"""Maximum likelihood through the filters: published estimates, intervals, open directions."""

import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov, toeplitz
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2, multivariate_normal

from filters import Gaussian, LinearGaussian, diffuse_kalman, kalman
from sim import Stepper
from sim.fit import Experiment, Prediction, bands, fit, profile
from sim.fit.problem import quadratic_model
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.losses import loss
from sim.fit.solvers.gauss_newton import GaussNewton
from sim.fit.uncertainty.standard_errors import from_observed_information as informed
from tests.filters.derivatives import check_gradient, quick

# Luteinizing hormone in blood at 10 minute intervals: P. J. Diggle, Time Series, 1990.
LH = """2.4 2.4 2.4 2.2 2.1 1.5 2.3 2.3 2.5 2.0 1.9 1.7 2.2 1.8 3.2 3.2 2.7 2.2 2.2 1.9 1.9 1.8
2.7 3.0 2.3 2.0 2.0 2.9 2.9 2.7 2.7 2.3 2.6 2.4 1.8 1.7 1.5 1.4 2.1 3.3 3.5 3.5 3.1 2.6 2.1 3.4
3.0 2.9"""


def observed(y):
    y = jnp.asarray(np.reshape(y, (-1, 1)), float)
    return Experiment(y, y)


def level(p):
    one = jnp.eye(1)
    return diffuse_kalman(LinearGaussian(one, p["level"][None], one, p["noise"][None]))


NOTHING = Gaussian(np.zeros(1), np.zeros((1, 1)))


@pytest.fixture(scope="module")
def nile(shared):
    return json.loads((shared / "references" / "estimation.json").read_text())["nile"]


@pytest.fixture(scope="module")
def river(nile):
    return fit(
        Prediction(level),
        {"noise": 1e4, "level": 1e3},
        observed(nile["data_1871_1970"]),
        parameters={"noise": "positive", "level": "positive"},
        states=NOTHING,
    )


def test_the_level_of_the_nile_as_published(nile, river):
    assert river.message.startswith("converged")
    np.testing.assert_allclose(
        [river.params["noise"], river.params["level"]], nile["mle"], atol=0.006
    )
    assert not river.uncertainty.open
    # The likelihood is within its digits of that at the rounded estimates in the books.
    np.testing.assert_allclose(-river.loss[-1], nile["loglik_with_diffuse_constant"], atol=1e-6)


def local_level(ys, noise, level):
    """−ℓ but for a constant, in scalars, and the predictions."""
    mean, P, loss, means = ys[0], noise + level, 0.0, []
    for y in ys[1:]:
        S = P + noise
        means.append(mean)
        loss += 0.5 * (np.log(S) + (y - mean) ** 2 / S)
        mean, P = mean + P / S * (y - mean), P - P**2 / S + level
    return loss, np.array(means)


@pytest.mark.parametrize("name, other", [("noise", "level"), ("level", "noise")])
def test_a_profile_is_that_by_scipy(nile, river, name, other):
    ys = [float(y) for y in nile["data_1871_1970"]]
    compiled = quadratic_model.curvature._cache_size()

    def smallest(held):
        def loss(log):
            return local_level(ys, **{name: np.exp(held), other: np.exp(log)})[0]

        about = float(np.log(river.params[other]))
        return minimize_scalar(loss, bracket=(about, about + 0.1), tol=1e-8).fun

    best = np.log(river.params[name])
    bound = smallest(best) + 0.5 * chi2.ppf(0.9, 1)
    ends = [
        brentq(lambda held: smallest(held) - bound, *sorted((best, best + away)), xtol=1e-6)
        for away in (-2.5, 2.5)
    ]
    got = profile(river, name, level=0.9)
    np.testing.assert_allclose(got.interval, np.exp(ends), rtol=1e-4)
    expected = [smallest(np.log(v)) - smallest(best) for v in got.value]
    np.testing.assert_allclose(got.loss - river.loss[-1], expected, atol=2e-6)
    assert quadratic_model.curvature._cache_size() <= max(compiled, 1)  # one program for all places


def test_a_band_is_of_the_predictions(nile, river):
    ys = [float(y) for y in nile["data_1871_1970"]]
    p = {name: float(river.params[name]) for name in river.uncertainty.names}
    means = local_level(ys, **p)[1]
    slope = [
        (local_level(ys, **p | {name: 1.00001 * p[name]})[1] - means) / (1e-5 * p[name])
        for name in p
    ]
    variance = np.einsum("pk,pq,qk->k", slope, river.uncertainty.covariance, slope)
    band = bands(river)
    np.testing.assert_allclose(band.simulated[1:, 0], means)
    np.testing.assert_allclose(band.sd[1:, 0], np.sqrt(variance), rtol=1e-3, atol=1e-4)
    assert band.degrees == np.inf
    # Of another record, a gap is left open and is predicted across.
    y = np.array(ys[:9])
    y[4] = np.nan
    other = bands(river, observed(y), NOTHING)
    np.testing.assert_array_equal(np.isnan(other.sd[:, 0]), np.isnan(y))


class Seen(NamedTuple):
    """What a filter of white noise emits."""

    loglik: jax.Array
    innovation: jax.Array


def white(p):
    """Of which the likelihood is not finite where the variance is above 1.5."""
    variance = p["noise"] * p["gain"]
    variance = jnp.where(variance < 1.5, variance, jnp.nan)

    def step(carry, y):
        return carry, Seen(-0.5 * jnp.sum(y**2 / variance + jnp.log(variance)), y)

    return Stepper(lambda prior: (), step)


@pytest.mark.parametrize("dtype, tight", [(float, 1e-12), (np.float32, 1e-5)])
def test_a_profile_goes_to_where_a_likelihood_breaks(dtype, tight):
    y = np.random.default_rng(0).normal(size=20)
    found = fit(
        Prediction(white),
        {"noise": dtype(1.0), "gain": dtype(1.0)},
        observed(y),
        parameters={"noise": (0.0, 2.0), "gain": "fixed"},
        states=NOTHING,
    )
    assert found.params["noise"].dtype == dtype
    got = profile(found, "noise", [0.15, 0.3, 0.5, 1.2, 1.6], level=0.999)

    def loss(variance):
        return 0.5 * (np.sum(y**2) / variance + 20 * np.log(variance))

    np.testing.assert_allclose(got.loss[:-1], loss(got.value[:-1]), rtol=tight)
    assert np.isinf(got.loss[-1]) and np.isclose(got.interval[1], 1.6)
    bound = got.loss.min() + 0.5 * chi2.ppf(0.999, 1)
    np.testing.assert_allclose(loss(got.interval[0]), bound, rtol=1e-4)


def matrices(p):
    n = len(p["ar"])
    F = jnp.concatenate([p["ar"][None], jnp.eye(n)[:-1]])
    return F, p["variance"] * jnp.diag(jnp.eye(n)[0])


def autoregressive(p):
    F, Q = matrices(p)
    H = jnp.eye(len(F))[:1]
    return kalman(LinearGaussian(F, Q, H, jnp.zeros((1, 1)), d=p["mean"][None]))


def stationary(p, _):
    F, Q = matrices(p)
    n = len(F)
    P = jnp.linalg.solve(jnp.eye(n * n) - jnp.kron(F, F), Q.ravel()).reshape(n, n)
    return Gaussian(jnp.zeros(n), (P + P.T) / 2)


def test_an_autoregression_as_published_with_its_standard_errors():
    # arima(lh, order = c(3, 0, 0)), the example in the manual of R.
    y = np.array(LH.split(), float)
    start = {"ar": np.full(3, 0.1), "mean": 2.0, "variance": 1.0}
    found = fit(
        Prediction(autoregressive, stationary),
        start,
        observed(y),
        parameters={"variance": "positive"},
    )
    p = found.params
    np.testing.assert_allclose(p["ar"], [0.6448, -0.0634, -0.2198], atol=6e-5)
    np.testing.assert_allclose([p["mean"], p["variance"]], [2.3931, 0.1787], atol=6e-5)
    np.testing.assert_allclose(-found.loss[-1], -27.09, atol=6e-3)
    np.testing.assert_allclose(
        found.uncertainty.standard_error[:4], [0.1394, 0.1668, 0.1421, 0.0963], atol=1e-4
    )
    # The loss is minus the logarithm of the joint density of the whole record.
    n, ar = len(y), p["ar"]
    F = np.concatenate([ar[None], np.eye(3)[:-1]])
    P = solve_discrete_lyapunov(F, p["variance"] * np.diag([1.0, 0.0, 0.0]))
    covariances = [(np.linalg.matrix_power(F, k) @ P)[0, 0] for k in range(n)]
    joint = multivariate_normal(np.full(n, p["mean"]), toeplitz(covariances))
    np.testing.assert_allclose(-found.loss[-1], joint.logpdf(y), rtol=1e-11)


def test_the_slope_of_a_likelihood_with_a_prior_is_that_of_differences():
    y = np.array(LH.split(), float)[:12]
    y[4] = np.nan
    problem, z = build_problem(
        Prediction(level),
        {"noise": 0.2, "level": 0.1},
        observed(y),
        {"noise": "positive", "level": {"mean": 0.3, "sd": 0.1, "kind": [0.0, 1.0]}},
        NOTHING,
    )
    assert len(z) == 2  # the prior of a filter is not searched
    check_gradient(lambda z: loss(problem, z), z)
    free = problem.parameters(z)
    without = build_problem(Prediction(level), free, observed(y), None, NOTHING)
    prior = quick(lambda z, other: loss(problem, z) - loss(*other))(z, without)
    np.testing.assert_allclose(prior, 0.5 * 2.0**2, rtol=1e-12)


def test_what_a_likelihood_leaves_open_is_named():
    y = np.random.default_rng(0).normal(size=20)
    problem, z = build_problem(
        Prediction(white),
        {"noise": 0.5, "gain": 2.0},
        observed(y),
        {"noise": "positive", "gain": "positive"},
        NOTHING,
    )
    found = informed(problem, z, quadratic_model.curvature(problem, z).hessian)
    assert found.open == (
        "gain and noise: the data determine only a combination of them, not each",
    )
    assert np.isinf(found.standard_error).all()


def test_a_solver_for_squares_is_refused():
    with pytest.raises(ValueError, match=r"solver: GaussNewton\(\) takes a Simulation"):
        fit(
            Prediction(level),
            {"noise": 1.0, "level": 1.0},
            observed(LH.split()[:5]),
            states=NOTHING,
            solver=GaussNewton(),
        )
    with pytest.raises(ValueError, match="solver: expected None, GaussNewton.. or a trans"):
        fit(Prediction(level), {"noise": 1.0}, observed([1.0, 2.0]), solver="adam")
    assert jax.config.jax_numpy_dtype_promotion == "strict"


@jax.custom_vjp
def once(x):
    return x


@jax.custom_vjp
def one(x):
    return 1 + 0 * x


once.defvjp(lambda x: (x, x), lambda x, g: (g * one(x),))
one.defvjp(lambda x: (one(x), None), lambda _, g: (0 * g,))


def test_a_likelihood_without_a_curvature_is_searched_by_its_slope():
    y = np.random.default_rng(0).normal(size=20)
    found = fit(
        Prediction(lambda p: white(jax.tree.map(once, p))),
        {"noise": 0.5, "gain": 1.0},
        observed(y),
        parameters={"noise": "positive", "gain": "fixed"},
        states=NOTHING,
    )
    np.testing.assert_allclose(found.params["noise"], np.mean(y**2), rtol=1e-4)
    assert found.message.startswith("converged")
    assert "no forward-mode derivative" in found.uncertainty.open[0]
