"""Standard errors: the Nile against its published maximum and finite differences."""

import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.uncertainty import delta, observed_information, uncertainty
from sim import rollout
from tests.filters.derivatives import quick


class Variances(NamedTuple):
    eps: Any
    eta: Any


@pytest.fixture(scope="module")
def nile(shared):
    return json.loads((shared / "references" / "estimation.json").read_text())["nile"]


@pytest.fixture(scope="module")
def loglik(nile):
    """Exact diffuse: given the first value, the level is that value, of variance σ²_eps."""
    ys = jnp.asarray(nile["data_1871_1970"], float)[:, None]

    @jax.jit
    def of(p: Variances):
        one = jnp.ones((1, 1))
        stepper = kalman(LinearGaussian(F=one, Q=one * p.eta, H=one, R=one * p.eps))
        carry = stepper.init(Gaussian(ys[0], one * p.eps))
        return rollout(stepper.step, carry, ys[1:])[1].loglik.sum()

    return of


@pytest.fixture(scope="module")
def maximum(loglik):
    def cost(log):
        return -loglik(Variances(*jnp.exp(log)))

    both = jax.jit(jax.value_and_grad(cost))
    start = np.log([10000.0, 3000.0])
    options = {"gtol": 1e-9}
    found = scipy.optimize.minimize(
        lambda p: tuple(map(np.asarray, both(p))), start, jac=True, options=options
    )
    return found.x


def test_the_maximum_is_the_published_one(nile, loglik, maximum):
    at = Variances(nile["sigma2_eps"], nile["sigma2_eta"])
    np.testing.assert_allclose(loglik(at), nile["loglik_exact_diffuse_99_observations"], rtol=1e-10)
    np.testing.assert_allclose(np.exp(maximum).round(2), nile["mle"], atol=0.0101)


def test_standard_errors_are_those_of_differences(loglik, maximum):
    best = Variances(*np.exp(maximum))
    found = uncertainty(loglik, best)

    def f(a, b):
        return float(loglik(Variances(a, b)))

    (a, b), h, k = best, 30.0, 10.0
    aa = (f(a + h, b) - 2 * f(a, b) + f(a - h, b)) / h**2
    bb = (f(a, b + k) - 2 * f(a, b) + f(a, b - k)) / k**2
    ab = (f(a + h, b + k) - f(a + h, b - k) - f(a - h, b + k) + f(a - h, b - k)) / (4 * h * k)
    covariance = np.linalg.inv(-np.array([[aa, ab], [ab, bb]]))
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-3)
    np.testing.assert_allclose(found.standard_error, np.sqrt(np.diag(covariance)), rtol=1e-3)


def test_a_logarithm_gives_the_same_by_the_delta_method(loglik, maximum):
    direct = uncertainty(loglik, Variances(*np.exp(maximum)))
    log = Variances(*maximum)

    def exp(p):
        return jax.tree.map(jnp.exp, p)

    jitted = jax.jit(lambda p: uncertainty(lambda q: loglik(exp(q)), p, exp))
    by_delta = jitted(log)
    # At a maximum the two informations differ by the gradient, which is zero.
    np.testing.assert_allclose(by_delta.covariance, direct.covariance, rtol=1e-5)
    np.testing.assert_allclose(by_delta.value, np.exp(maximum))


def test_an_estimated_error_is_the_spread_of_the_estimates():
    """Of many records of an AR(1) the estimates scatter as each one's own error says."""
    rng = np.random.default_rng(0)
    x, records = np.zeros(150), []
    for _ in range(200):
        x = 0.7 * x + rng.normal(size=150)
        records.append(x)
    ys = jnp.asarray(np.stack(records[40:], axis=1))[..., None]

    def loglik(p, y):
        one = jnp.ones((1, 1))
        model = LinearGaussian(F=one * p["a"], Q=one, H=one, R=1e-6 * one)
        stepper = kalman(model)
        return rollout(stepper.step, stepper.init(Gaussian(y[0], 1e-6 * one)), y[1:])[
            1
        ].loglik.sum()

    @quick
    @jax.vmap
    def newton(p, y):
        slope, bend = jax.grad(loglik)(p, y)["a"], observed_information(lambda q: loglik(q, y), p)
        return {"a": p["a"] + slope / bend[0, 0]}

    p = {"a": np.full(len(ys), 0.7)}
    for _ in range(4):
        p = newton(p, ys)
    found = quick(jax.vmap(lambda p, y: uncertainty(lambda q: loglik(q, y), p)))(p, ys)
    z = (found.value["a"] - 0.7) / found.standard_error["a"]
    assert 0.85 < float(jnp.std(z)) < 1.15


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_params_are_any_pytree_and_keep_their_order(dtype):
    weights = {"b": np.asarray([2.0, 3.0], dtype), "a": (np.asarray(1.0, dtype),)}

    def quadratic(p):
        return -0.5 * (4 * p["a"][0] ** 2 + jnp.sum(jnp.asarray([1, 16], dtype) * p["b"] ** 2))

    found = uncertainty(quadratic, weights)
    np.testing.assert_allclose(found.standard_error["a"][0], 0.5)
    np.testing.assert_allclose(found.standard_error["b"], [1, 0.25])
    assert found.covariance.dtype == dtype
    np.testing.assert_allclose(np.diag(found.covariance), [0.25, 1, 1 / 16])
    total = delta(lambda p: {"sum": jnp.sum(p["b"]) - p["a"][0]}, weights, found.covariance)
    np.testing.assert_allclose(total.standard_error["sum"], np.sqrt(0.25 + 1 + 1 / 16), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uncertainty(lambda p: p**2, 0.0), "params: expected a maximum .* eigenvalue -2"),
        (lambda: uncertainty(lambda p: 0.0 * p, 0.0), "params: expected a maximum .* eigenvalue"),
        (
            lambda: uncertainty(lambda p: -(p**2), jnp.zeros(2)),
            r"loglik: expected a scalar, got shape \(2,\)",
        ),
        (lambda: uncertainty(lambda p: 0.0, {}), "params: expected at least one"),
        (
            lambda: delta(jnp.exp, 0.0, jnp.eye(2)),
            r"covariance: expected \(1, 1\) for 1 parameters",
        ),
    ],
)
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
