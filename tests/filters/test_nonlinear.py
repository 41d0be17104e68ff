"""The nonlinear filters where the answer is known exactly: on linear models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from filters.extended import extended
from filters.gauss_hermite import gauss_hermite
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.nonlinear import Nonlinear
from filters.rts import rts
from filters.unscented import unscented
from tests.filters.derivatives import check_gradient, quick
from tests.filters.nonlinear_models import FILTERS, filtered, height, run, smoothed, swing
from tests.filters.oracle import check_covariances, random_case

PRIOR = Gaussian(np.array([0.3, -0.1]), np.array([[0.5, 0.1], [0.1, 0.8]]))
RECORD = np.array([[0.4], [np.nan], [0.1], [-0.3], [0.2]])
every_filter = pytest.mark.parametrize("name", FILTERS)
# Those of sigma points differ in numbers alone.
one_of_each = pytest.mark.parametrize("name", ["extended", "iterated", "unscented"])


def affine(F, B, b, x, u, t, *noise):
    return sum(noise, F @ x + B @ u + b)


def linear(case, noise_in=()):
    """A random linear model, once for kalman and once as functions, and its record."""
    prior, models, inputs, ys = case
    model = models[0]
    functions = Nonlinear(
        Partial(affine, model["F"], model["B"], model["b"]),
        Partial(affine, model["H"], model["D"], model["d"]),
        model["Q"],
        model["R"],
        noise_in=noise_in,
    )
    return LinearGaussian(**model), functions, Gaussian(*prior), {"y": ys, "u": inputs}


def same(found, expected, tolerance=1e-9):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        found,
        expected,
    )


@every_filter
@pytest.mark.parametrize(("n", "m"), [(2, 0), (1, 2), (3, 2), (9, 4)])
def test_equals_kalman_on_linear_models(name, n, m):
    if name == "gauss_hermite" and n > 3:
        pytest.skip("3⁹ points")
    exact, model, prior, xs = linear(random_case(n, m, 2, 5, n, missing=0.3))
    noise = {"Q": np.stack([exact.Q, 2 * exact.Q] * 2 + [exact.Q]), "R": np.stack(5 * [exact.R])}
    xs |= {name: a * np.arange(1.0, 6)[:, None, None] for name, a in noise.items()}
    expected = filtered(kalman(exact), prior, xs)
    found = filtered(FILTERS[name](model), prior, xs)
    same(found, expected)
    check_covariances(found.P, found.P_pred, found.S)
    same(smoothed(rts(), found), smoothed(rts(), expected))


@every_filter
def test_noise_that_enters_additively_is_additive_noise(name):
    case = random_case(2, 2, 1, 4, 7, missing=0.2)
    _, added, prior, xs = linear(case)
    _, taken, _, _ = linear(case, noise_in=("f", "h"))
    same(filtered(FILTERS[name](taken), prior, xs), filtered(FILTERS[name](added), prior, xs))


@pytest.mark.parametrize(("factory", "spread"), [(extended, 0.0), (gauss_hermite, 0.5)])
@pytest.mark.parametrize("R", [[0.1], [[0.1]]])
def test_noise_that_multiplies(factory, spread, R):
    """var x (1 + e) = P + R (m² + P); the tangent loses R P."""
    model = Nonlinear(lambda x, u, t: x, lambda x, u, t, e: x * (1 + e), [0.0], R, noise_in=("h",))
    estimate = filtered(factory(model), Gaussian([2.0], [[0.5]]), np.array([[1.0]]))
    np.testing.assert_allclose(estimate.S, [[[0.5 + 0.1 * (4 + spread)]]], rtol=1e-12)


def test_noise_may_have_another_size_than_the_state():
    """A random acceleration, one number, moves a position and a velocity."""
    push = np.array([0.5, 1.0])
    step = np.array([[1.0, 1.0], [0.0, 1.0]])
    pushed = Nonlinear(
        lambda x, u, t, w: step @ x + push * w,
        lambda x, u, t: x[:1],
        [[0.3]],
        [0.1],
        noise_in=("f",),
    )
    exact = LinearGaussian(step, 0.3 * np.outer(push, push), [[1.0, 0.0]], [0.1])
    expected = filtered(kalman(exact), PRIOR, RECORD)
    for factory in FILTERS.values():
        same(filtered(factory(pushed), PRIOR, RECORD), expected)


def test_u_and_t_reach_both_functions():
    def f(x, u, t):
        return x + u["drive"] * t

    def h(x, u, t):
        return x * u["drive"] + t

    xs = {"y": np.ones((3, 1)), "u": {"drive": np.arange(3.0)}, "t": np.array([0.0, 1.0, 4.0])}
    model = Nonlinear(f, h, [1.0], [1.0])
    for factory in FILTERS.values():
        estimates = filtered(factory(model), Gaussian([1.0], [[1.0]]), xs)
        before = np.concatenate([[1.0], estimates.m[:-1, 0]])
        m_pred = before + xs["u"]["drive"] * xs["t"]
        np.testing.assert_allclose(estimates.m_pred[:, 0], m_pred, rtol=1e-12)
        v = 1 - (m_pred * xs["u"]["drive"] + xs["t"])
        np.testing.assert_allclose(estimates.innovation[:, 0], v, atol=1e-12)


@one_of_each
def test_gradient_of_the_likelihood(name):
    """By the noise, the gravity and the prior, a value missing, against differences."""

    def loglik(theta):
        model = Nonlinear(
            lambda x, u, t: swing(x, u, t, dt=0.3, g=theta[0]),
            height,
            theta[1] * jnp.eye(2),
            theta[2:3],
        )
        prior = Gaussian(theta[3:], jnp.asarray(PRIOR.P))
        return run(FILTERS[name](model), prior, RECORD).loglik.sum()

    check_gradient(loglik, np.array([9.81, 0.2, 0.1, 0.3, -0.1]))


@every_filter
def test_float32_and_vmap(name):
    stepper = FILTERS[name](Nonlinear(swing, height, 0.1 * np.eye(2), [0.1]))
    expected = filtered(stepper, PRIOR, RECORD)
    single = filtered(stepper, Gaussian(*map(np.float32, PRIOR)), np.float32(RECORD))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(single))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), single, expected)
    batch = jax.vmap(filtered, (None, None, 0))(stepper, PRIOR, np.stack([RECORD - 1, RECORD]))
    same(jax.tree.map(lambda a: a[1], batch), expected, 1e-12)


@one_of_each
def test_a_state_known_exactly(name):
    """A prior without uncertainty, of the whole state or a part: finite, with its gradient."""

    def known(variance):
        prior = Gaussian(jnp.array([0.3, -0.1]), jnp.diag(jnp.stack([variance, 0.0 * variance])))
        model = Nonlinear(swing, height, [0.0, 0.1], [0.1])
        estimates = run(FILTERS[name](model), prior, RECORD)
        return estimates.loglik.sum(), estimates

    slope = quick(jax.grad(known, has_aux=True))
    estimates = slope(0.0)[1]
    np.testing.assert_allclose(estimates.m_pred[0], swing(np.array([0.3, -0.1]), None, None))
    np.testing.assert_allclose(estimates.P_pred[0], np.diag([0.0, 0.1]), atol=1e-15)
    assert np.isfinite(slope(0.5)[0])


@every_filter
def test_nothing_observed(name):
    stepper = FILTERS[name](Nonlinear(swing, height, 0.1 * np.eye(2), [0.1]))
    estimates = filtered(stepper, PRIOR, np.full((3, 1), np.nan))
    same((estimates.m, estimates.P), (estimates.m_pred, estimates.P_pred), 1e-15)
    assert not estimates.loglik.any()


@every_filter
def test_a_missing_row_need_not_be_finite(name):
    """A range from the origin has no slope there, which only matters where it is seen."""

    def h(x, u, t):
        return jnp.stack([x[0] / jnp.hypot(x[0], x[1]), x[0]])

    model = Nonlinear(lambda x, u, t: x, h, [0.1, 0.1], [0.1, 0.1])
    alone = Nonlinear(lambda x, u, t: x, lambda x, u, t: x[:1], [0.1, 0.1], [0.1])
    prior, ys = Gaussian(np.zeros(2), np.eye(2)), np.array([[np.nan, 0.0], [np.nan, 1.0]])
    found = filtered(FILTERS[name](model), prior, ys)
    expected = filtered(FILTERS[name](alone), prior, ys[:, 1:])
    for field in ("m", "P", "loglik"):
        same(getattr(found, field), getattr(expected, field))


def test_one_trace_for_all_parameters_and_equal_rules():
    def runs(gravity, **rule):
        model = Nonlinear(Partial(swing_with, gravity), height, [0.1, 0.1], [0.1])
        return [factory(model) for factory in (unscented, lambda m: gauss_hermite(m, **rule))]

    trees = [jax.tree.structure(runs(g, order=3)) for g in (9.81, 1.62)]
    assert trees[0] == trees[1]
    assert jax.tree.structure(runs(9.81, order=4)) != trees[0]


def swing_with(g, x, u, t):
    return swing(x, u, t, g=g)


GOOD = dict(f=swing, h=height, Q=[0.1, 0.1], R=[0.1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(f=None), "f: expected a function, got NoneType"),
        (dict(f=lambda x: x), r"f: expected f\(x, u, t\), got f\(x\)"),
        (dict(noise_in=("h",)), r"h: expected h\(x, u, t, e\), got h\(x, u, t\)"),
        (dict(noise_in="w"), r'noise_in: expected a tuple of "f", "h", got'),
        (dict(f=lambda x, u, t: x[:1]), r"f: expected shape \(2,\), as the prior has, got \(1,\)"),
        (dict(f=lambda x, u, t: None), r"f: expected an array \(2,\), got NoneType"),
        (dict(h=lambda x, u, t: x), r"h: expected shape \(1,\), as R has, got \(2,\)"),
        (dict(h=lambda x, u, t: x[0]), r"h: expected shape \(1,\), as R has, got \(\)"),
        (dict(R=[0.1, 0.1], h=lambda x, u, t: x), r"y: expected shape \(2,\), got \(1,\)"),
        (dict(Q=[0.1]), r"Q: expected \(2, 2\) or \(2,\), as the prior has, got \(1,\)"),
        (dict(Q=0.1), r"Q: expected a covariance \(n, n\) or \(n,\), got shape \(\)"),
        (dict(R=[-0.1]), "R: expected variances of at least 0, got -0.1"),
        (dict(residual=lambda y: y), r"residual: expected residual\(y, mu\), got residual\(y\)"),
        (dict(residual=lambda y, mu: y[0]), r"residual: expected shape \(1,\), as y has, got \(\)"),
        (dict(retract=lambda x, dx: x), "local: expected a function, as retract and local"),
    ],
)
def test_mistakes_are_named(wrong, message):
    for factory in (extended, unscented):
        with pytest.raises(ValueError, match=message):
            filtered(factory(Nonlinear(**GOOD | wrong)), PRIOR, RECORD)


def test_mistakes_of_a_step_and_of_a_rule_are_named():
    model = Nonlinear(**GOOD)
    for call, message in [
        (lambda: extended(swing), "model: expected a Nonlinear, got function"),
        (lambda: filtered(extended(model), PRIOR, {"y": RECORD, "r": RECORD}), "xs: .*'r'"),
        (lambda: unscented(model, alpha=0.0), "alpha: expected a number other than 0"),
        (lambda: filtered(unscented(model, kappa=-2.0), PRIOR, RECORD), "kappa: expected more"),
        (lambda: gauss_hermite(model, 0), "order: expected an integer of at least 1, got 0"),
        (lambda: filtered(gauss_hermite(model, 400), PRIOR, RECORD), "order: expected at most"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
