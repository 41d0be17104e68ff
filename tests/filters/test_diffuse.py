"""Exact diffuse initialisation: published values, statsmodels' figures, least squares."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.diffuse import diffuse_kalman
from filters.diffuse_smoother import diffuse_smoother
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import check_covariances, random_case
from tests.filters.test_kalman import as_xs


def run(model, prior, xs, diffuse=None, on_first=False):
    stepper, smoother = diffuse_kalman(model), diffuse_smoother()
    estimates = rollout(stepper.step, stepper.init(prior, diffuse, on_first), xs)[1]
    return estimates, rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1]


compiled = quick(run, static_argnames=("diffuse", "on_first"))


@pytest.fixture(scope="module")
def nile(shared):
    return json.loads((shared / "references" / "estimation.json").read_text())["nile"]


def flow(nile):
    return np.array(nile["data_1871_1970"], float)[:, None]


def test_the_nile_as_published(nile):
    model = LinearGaussian(
        jnp.eye(1), jnp.array([nile["sigma2_eta"]]), jnp.eye(1), jnp.array([nile["sigma2_eps"]])
    )
    estimates, smoothed = compiled(model, Gaussian(jnp.zeros(1), jnp.zeros((1, 1))), flow(nile))
    np.testing.assert_allclose(
        estimates.loglik.sum(), nile["loglik_with_diffuse_constant"], atol=5e-8
    )
    observed = np.asarray(estimates.loglik) + 0.5 * np.log(2 * np.pi) * np.asarray(estimates.spent)
    np.testing.assert_allclose(
        observed.sum(), nile["loglik_exact_diffuse_99_observations"], atol=5e-8
    )
    assert observed[0] == 0 and estimates.spent.tolist() == [1] + 99 * [0]
    np.testing.assert_allclose(estimates.m[-1, 0], nile["final_filtered_mean"], atol=5e-8)
    np.testing.assert_allclose(estimates.P[-1, 0, 0], nile["final_filtered_variance"], atol=5e-7)
    for year, mean in nile["smoothed_mean"].items():
        np.testing.assert_allclose(smoothed.m[int(year) - 1871, 0], mean, atol=5e-7)
    np.testing.assert_allclose(
        smoothed.P[50, 0, 0], nile["smoothed_variance_mid_series"], atol=5e-6
    )


def test_the_maximum_of_the_likelihood_is_that_published(nile):
    @quick
    @jax.grad
    def slope(logs):
        eps, eta = jnp.exp(logs)
        model = LinearGaussian(jnp.eye(1), eta[None], jnp.eye(1), eps[None])
        return run(model, Gaussian(jnp.zeros(1), jnp.zeros((1, 1))), flow(nile))[0].loglik.sum()

    # By 10 either way in the first and 1 in the second the slope changes its sign.
    eps, eta = nile["mle"]
    for i, width in ((0, 10.0), (1, 1.0)):
        shift = np.eye(2)[i] * width
        below, above = (slope(np.log(np.array([eps, eta]) + s * shift))[i] for s in (-1, 1))
        assert below > 0 > above


def test_a_local_linear_trend_with_gaps_as_statsmodels_has_it(nile):
    # UnobservedComponents(y, "local linear trend", use_exact_diffuse=True), 0.15.0.
    ys = flow(nile)
    ys[[3, 20, 21, 50]] = np.nan
    model = LinearGaussian(
        F=jnp.array([[1.0, 1.0], [0.0, 1.0]]),
        Q=jnp.array([1469.1, 5.0]),
        H=jnp.array([[1.0, 0.0]]),
        R=jnp.array([15099.0]),
    )
    prior = Gaussian(jnp.zeros(2), jnp.zeros((2, 2)))
    estimates, smoothed = compiled(model, prior, ys, on_first=True)
    np.testing.assert_allclose(estimates.loglik.sum(), -608.4505562833496, rtol=1e-12)
    np.testing.assert_allclose(
        smoothed.m[jnp.array([0, 1, 3, 50, 99])],
        [
            [1112.3036635362805, -4.461570084293854],
            [1107.0932565820713, -4.459021459728081],
            [1099.4171212923914, -4.438005423608459],
            [839.1948929681294, -2.2669160619939523],
            [786.3293220706136, -4.765928785061567],
        ],
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        smoothed.P[0],
        [[4863.385798744657, -238.2032435613164], [-238.2032435613164, 96.083452925639]],
        rtol=1e-9,
    )
    # Over the whole record the prior a step earlier is as diffuse, and F has determinant 1.
    earlier, again = compiled(model, prior, ys)
    np.testing.assert_allclose(earlier.loglik.sum(), estimates.loglik.sum(), rtol=1e-12)
    np.testing.assert_allclose(again.m, smoothed.m, rtol=1e-8)


def test_an_arima_as_statsmodels_has_it(nile):
    # SARIMAX(y, order=(1, 1, 1), use_exact_diffuse=True) at 0.3, -0.6, 20000, 0.15.0.
    moves = jnp.array([[0.0], [1.0], [-0.6]])
    model = LinearGaussian(
        F=jnp.array([[1.0, 1.0, 0.0], [0.0, 0.3, 1.0], [0.0, 0.0, 0.0]]),
        Q=20000.0 * moves @ moves.T,
        H=jnp.array([[1.0, 1.0, 0.0]]),
        R=jnp.array([0.0]),
    )
    P = np.zeros((3, 3))
    P[1:, 1:] = [[21978.021978021978, -12000.0], [-12000.0, 7200.0]]
    prior = Gaussian(jnp.zeros(3), jnp.asarray(P))
    estimates, smoothed = compiled(
        model, prior, flow(nile), diffuse=(True, False, False), on_first=True
    )
    np.testing.assert_allclose(estimates.loglik.sum(), -638.0572356392738, rtol=1e-12)
    np.testing.assert_allclose(
        smoothed.m[jnp.array([0, 50])],
        [[1117.31085786, 2.68914214, -1.79057513], [821.0, -53.0, 37.79764114]],
        rtol=1e-8,
    )


def least_squares(prior, unknown, models, inputs, ys):
    """Means, covariances and log-likelihood from the information of the whole record."""
    n, size = len(prior[0]), (len(ys) + 1) * len(prior[0])
    rows, values, weights, logdet = [], [], [], 0.0

    def add(columns, value, covariance):
        nonlocal logdet
        row = np.zeros((len(value), size))
        for k, block in columns.items():
            row[:, k * n : (k + 1) * n] = block
        rows.append(row)
        values.append(value)
        weights.append(np.linalg.inv(covariance))
        logdet += np.linalg.slogdet(covariance)[1]

    known = ~unknown
    add({0: np.eye(n)[known]}, prior[0][known], prior[1][np.ix_(known, known)])
    for k, (model, u, y) in enumerate(zip(models, inputs, ys, strict=True), 1):
        add({k - 1: -model["F"], k: np.eye(n)}, model["B"] @ u + model["b"], model["Q"])
        seen = ~np.isnan(y)
        value = (y - model["D"] @ u - model["d"])[seen]
        add({k: model["H"][seen]}, value, model["R"][np.ix_(seen, seen)])
    J = sum(a.T @ w @ a for a, w in zip(rows, weights, strict=True))
    x = np.linalg.solve(J, sum(a.T @ w @ v for a, w, v in zip(rows, weights, values, strict=True)))
    off = [v - a @ x for a, v in zip(rows, values, strict=True)]
    square = sum(v @ w @ v for v, w in zip(off, weights, strict=True))
    counts = np.sum(~np.isnan(ys)) * np.log(2 * np.pi)
    P = np.linalg.inv(J).reshape(len(ys) + 1, n, len(ys) + 1, n)
    P = np.stack([P[k, :, k] for k in range(len(ys) + 1)])
    loglik = -0.5 * (counts + logdet + np.linalg.slogdet(J)[1] + square)
    return x.reshape(-1, n), P, loglik


@pytest.mark.parametrize(
    ("diffuse", "seed"),
    [((True, False, True), 3), ((False, False, False), 3), (None, 4), (None, 3)],
)
def test_equals_least_squares_with_nothing_known_of_some(diffuse, seed):
    # Correlated R, missing components, matrices that vary in time.
    (m, P), models, inputs, ys = random_case(3, 2, 1, 6, seed, 0.3, varying=True)
    unknown = np.array((True,) * 3 if diffuse is None else diffuse)
    P = P * np.outer(~unknown, ~unknown)
    xs = as_xs(models, inputs, ys, True)
    estimates, smoothed = compiled(LinearGaussian(**models[0]), Gaussian(m, P), xs, diffuse=diffuse)
    mean, cov, loglik = least_squares((m, P), unknown, models, inputs, ys)
    tolerance = dict(rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(smoothed.m, mean[1:], **tolerance)
    # The last case knows the first state only to a variance of 2600, whose digits it loses.
    lost = 2e-12 * np.abs(cov).max()
    np.testing.assert_allclose(smoothed.P, cov[1:], rtol=1e-9, atol=max(1e-9, lost))
    np.testing.assert_allclose(estimates.loglik.sum(), loglik, **tolerance)
    np.testing.assert_allclose(estimates.m[-1], mean[-1], **tolerance)
    check_covariances(estimates.P, estimates.P_pred, estimates.S, smoothed.P)


def test_gradients_with_missing_data_against_differences():
    (m, P), models, inputs, ys = random_case(2, 2, 1, 5, 5, 0.3)
    rest = {k: v for k, v in models[0].items() if k not in "FQ"}

    def loss(parameters):
        q, a = parameters
        model = LinearGaussian(F=a * models[0]["F"], Q=q * models[0]["Q"], **rest)
        estimates, smoothed = run(model, Gaussian(m, 0 * P), {"y": ys, "u": inputs})
        return estimates.loglik.sum() + jnp.sum(jnp.sin(smoothed.P))

    check_gradient(loss, [1.3, 0.9], atol=1e-6)


def test_float32_in_the_loop_and_mistakes():
    level = diffuse_kalman(LinearGaussian(jnp.eye(2), jnp.ones(2), jnp.eye(2)[:1], jnp.ones(1)))
    prior = Gaussian(np.zeros(2, np.float32), np.zeros((2, 2), np.float32))
    scan = (
        quick(lambda ys: rollout(level.step, level.init(prior), ys)[1])
        .lower(np.ones((4, 1), np.float32))
        .compile()
    )
    assert "custom-call" not in scan.as_text()
    estimates = scan(np.ones((4, 1), np.float32))
    assert estimates.m.dtype == np.float32
    # The second state is never seen: it stays unknown, and nothing breaks.
    np.testing.assert_allclose(estimates.spread[-1] @ estimates.spread[-1].T, np.diag([0.0, 1.0]))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(estimates))
    with pytest.raises(ValueError, match=r"diffuse: expected 2 bools or \(n, q\) directions"):
        level.init(prior, (True,))
