"""Robust updates: the plain filter without outliers, and far better with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.chi_square import chi2_quantile
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.robust import gate, huber, robust, student_t
from sim import Stepper, rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import random_case

UPDATES = {"gate": gate, "student_t": student_t, "huber": huber}


def run(model, prior, ys, update):
    stepper = kalman(model) if update is None else robust(kalman(model), update)
    return rollout(stepper.step, stepper.init(prior), ys)[1]


filtered = quick(run)


def case(seed=1, n=3, m=2, N=12, missing=0.2, dtype="float64"):
    prior, models, _, ys = random_case(n, m, 1, N, seed, missing)
    model = LinearGaussian(*(models[0][name].astype(dtype) for name in "FQHR"))
    return model, Gaussian(*(a.astype(dtype) for a in prior)), ys.astype(dtype)


@pytest.mark.parametrize("name", UPDATES)
def test_an_infinite_threshold_is_the_plain_filter(name):
    model, prior, ys = case()
    # Bit for bit: as users compile it.
    compiled, exact = (jax.jit(run), 0) if name == "gate" else (filtered, 1e-9)
    plain = compiled(model, prior, ys, None)
    found = compiled(model, prior, ys, UPDATES[name](np.inf))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=exact, atol=exact), found, plain
    )


@pytest.fixture(scope="module")
def outliers():
    """A target in the plane, 5 % of whose measurements are far off, each component alone."""
    rng = np.random.default_rng(3)
    F = np.eye(4) + 0.1 * np.eye(4, k=2)
    L = np.vstack([0.005 * np.eye(2), 0.1 * np.eye(2)])
    model = LinearGaussian(F=F, Q=L @ L.T + 1e-9 * np.eye(4), H=np.eye(4)[:2], R=0.04 * np.eye(2))
    x, xs = np.array([0.0, 0.0, 1.0, 0.5]), []
    for _ in range(1000):
        x = F @ x + L @ rng.normal(size=2)
        xs.append(x)
    truth = np.stack(xs)
    clean = truth[:, :2] + 0.2 * rng.normal(size=(1000, 2))
    off = rng.random(clean.shape) < 0.05
    return model, truth, clean, np.where(off, clean + 10 * rng.normal(size=clean.shape), clean)


def rmse(estimates, truth):
    return float(np.sqrt(np.mean((estimates.m[:, :2] - truth[:, :2]) ** 2)))


@pytest.mark.parametrize(
    "update", [gate(float(chi2_quantile(0.999, 2))), student_t(4.0), huber(1.345)]
)
def test_outliers_do_not_carry_the_estimate_away(outliers, update):
    model, truth, clean, dirty = outliers
    prior = Gaussian(truth[0], np.eye(4))
    without = rmse(filtered(model, prior, clean, None), truth)
    plain = rmse(filtered(model, prior, dirty, None), truth)
    found = rmse(filtered(model, prior, dirty, update), truth)
    assert plain > 4 * without
    assert found < 1.8 * without
    assert rmse(filtered(model, prior, clean, update), truth) < 1.1 * without


@pytest.mark.parametrize("name", UPDATES)
def test_the_gradient_is_that_of_differences(name):
    model, prior, ys = case(n=2, missing=0.3, N=6)
    ys[3] += 30

    few = {} if name == "gate" else {"iterations": 2}

    def loss(at):
        scale, limit = at
        changed = model._replace(R=model.R * scale)
        estimates = run(changed, prior, ys, UPDATES[name](limit, **few))
        return jnp.sum(estimates.m**2) + jnp.sum(estimates.loglik) + jnp.sum(estimates.P)

    check_gradient(loss, [1.3, 9.0 if name == "gate" else 2.0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", UPDATES)
def test_nothing_seen_teaches_nothing_and_the_covariance_stays_one(name):
    model, prior, ys = case(missing=0.0)
    ys[4], ys[7, 0], ys[9] = np.nan, np.nan, 1e6
    found = filtered(model, prior, ys, UPDATES[name](3.0))
    np.testing.assert_array_equal(found.m[4], found.m_pred[4])
    assert found.loglik[4] == 0
    np.testing.assert_array_equal(np.isnan(found.innovation), np.isnan(ys))
    assert all(np.isfinite(a).all() for a in found._replace(innovation=found.m))
    np.testing.assert_array_equal(found.P, np.swapaxes(found.P, 1, 2))
    assert np.linalg.eigvalsh(found.P).min() > 0


@pytest.mark.parametrize("name", UPDATES)
def test_float32_and_a_batch(name):
    model, prior, ys = case()
    update = UPDATES[name](3.0)
    exact = filtered(model, prior, ys, update)
    small = filtered(*case(dtype="float32"), update)
    assert small.m.dtype == "float32" and small.loglik.dtype == "float32"
    np.testing.assert_allclose(small.m, exact.m, rtol=1e-3, atol=1e-3)
    batch = jax.vmap(filtered, (None, None, 0, None))(model, prior, np.stack([ys, -ys]), update)
    np.testing.assert_allclose(batch.m[0], exact.m, rtol=1e-12, atol=1e-12)


def test_a_state_known_exactly_is_no_obstacle():
    """P singular: the noise is found without its inverse."""
    model = LinearGaussian(F=np.eye(2), Q=np.diag([1.0, 0.0]), H=np.ones((1, 2)), R=np.eye(1))
    prior = Gaussian(np.zeros(2), np.zeros((2, 2)))
    found = filtered(model, prior, np.array([[1.0], [50.0], [0.5]]), student_t(4.0))
    plain = filtered(model, prior, np.array([[1.0], [np.nan], [0.5]]), student_t(4.0))
    np.testing.assert_allclose(found.m[:, 1], 0, atol=1e-12)
    np.testing.assert_allclose(found.m[1:], plain.m[1:], atol=0.3)


@pytest.mark.parametrize("update", [gate(9.0), student_t(), huber()])
def test_a_step_stays_in_its_loop(update):
    model, prior, ys = case(n=4, m=2, N=300)
    text = filtered.lower(model, prior, ys, update).compile().as_text()
    assert " while(" in text and "custom-call" not in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gate(-1.0), "threshold: expected a number above 0, got -1.0"),
        (lambda: student_t(0.0), "dof: expected a number above 0"),
        (lambda: huber(1.0, iterations=0), "iterations: expected an integer of at least 1"),
        (
            lambda: robust(Stepper(None, None), gate(1.0)),
            "with_update: expected a filter that gaussian_filter",
        ),
        (
            lambda: filtered(*case(), gate(np.ones(2))),
            "threshold: expected a number or one for each of 0",
        ),
    ],
)
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
