"""The square-root filter and smoother: the joint Gaussian, singular noise, float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.square_root import square_root_kalman
from filters.square_root_rts import square_root_rts
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import check_covariances, posterior, random_case
from tests.filters.test_kalman import as_xs


def run(model, prior, xs, on_first=False):
    stepper, smoother = square_root_kalman(model), square_root_rts()
    estimates = rollout(stepper.step, stepper.init(prior, on_first), xs)[1]
    return estimates, rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1]


compiled = quick(run, static_argnums=3)


@pytest.mark.parametrize(("n", "varying"), [(3, True), (13, False)])
def test_equals_conditioning_the_joint_gaussian(n, varying):
    case = random_case(n, 2, 1, 6, 0, 0.3, varying)
    prior, models, inputs, ys = case
    xs = as_xs(models, inputs, ys, varying)
    estimates, smoothed = compiled(LinearGaussian(**models[0]), Gaussian(*prior), xs, n == 3)
    mean, P, loglik = posterior(*case, on_first=n == 3)
    tolerance = dict(rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(smoothed.m, mean[1:], **tolerance)
    np.testing.assert_allclose(smoothed.P, P[1:], **tolerance)
    np.testing.assert_allclose(estimates.loglik.sum(), loglik, **tolerance)
    mean, P, _ = posterior(*case, upto=2, on_first=n == 3)
    np.testing.assert_allclose(estimates.m[1], mean[2], **tolerance)
    np.testing.assert_allclose(estimates.P[1], P[2], **tolerance)
    assert np.all(np.triu(estimates.root, 1) == 0)
    check_covariances(estimates.P, estimates.P_pred, estimates.S, smoothed.P)


def test_all_that_kalman_emits():
    prior, models, inputs, ys = random_case(3, 2, 1, 6, 0, 0.3, True)
    model, xs = LinearGaussian(**models[0]), as_xs(models, inputs, ys, True)
    ours, _ = compiled(model, Gaussian(*prior), xs, True)
    full = kalman(model)
    theirs = quick(
        lambda xs: rollout(full.step, full.init(Gaussian(*prior), on_first=True), xs)[1]
    )(xs)
    for name in theirs._fields:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-12)


def singular(q=1.0, r=0.5, dtype=float):
    """A tracker whose noise has rank one and whose sensors share theirs."""
    gain = jnp.array([[0.5], [1.0]], dtype)
    return LinearGaussian(
        F=jnp.array([[1.0, 1.0], [0.0, 1.0]], dtype),
        Q=q * (gain @ gain.T),
        H=jnp.eye(2, dtype=dtype),
        R=r * jnp.ones((2, 2), dtype),
    )


def test_singular_noise_prior_and_transition():
    # In the limit of a little more noise in all of them, which the oracle can take.
    ys = jnp.array([[1.0, 0.2], [2.0, jnp.nan], [2.5, 1.0], [jnp.nan, jnp.nan]])
    for F in (jnp.array([[1.0, 1.0], [0.0, 1.0]]), jnp.array([[0.0, 1.0], [0.0, 0.0]])):
        model = singular()._replace(F=F)
        prior = Gaussian(jnp.zeros(2), jnp.zeros((2, 2)))
        estimates, smoothed = compiled(model, prior, {"y": ys})
        near = {name: np.asarray(getattr(model, name)) for name in "FQHR"}
        near |= dict(B=np.zeros((2, 0)), D=np.zeros((2, 0)), b=np.zeros(2), d=np.zeros(2))
        near["R"] = near["R"] + 1e-8 * np.eye(2)
        mean, P, _ = posterior(prior, [near] * 4, np.zeros((4, 0)), np.asarray(ys))
        np.testing.assert_allclose(smoothed.m, mean[1:], atol=1e-5)
        np.testing.assert_allclose(smoothed.P, P[1:], atol=1e-5)
        assert np.all(np.isfinite(estimates.loglik))


def test_gradients_with_missing_data_and_a_singular_q_against_differences():
    prior, models, inputs, ys = random_case(2, 2, 1, 5, 4, 0.3)
    rest = dict(models[0])
    F, Q = rest.pop("F"), np.diag([1.0, 0.0])
    rest.pop("Q")

    def loss(parameters):
        q, r, a, p = parameters
        model = LinearGaussian(F=a * F, Q=q * Q, **rest | {"R": r * rest["R"]})
        estimates, smoothed = run(model, Gaussian(prior[0], p * prior[1]), {"y": ys, "u": inputs})
        return estimates.loglik.sum() + jnp.sum(jnp.sin(smoothed.P)) + jnp.sum(smoothed.m**2)

    check_gradient(loss, [1.3, 0.7, 0.9, 1.1])


def test_float32_survives_where_the_covariance_form_fails():
    # Four integrators in a row, a prior of 10⁶ against sensors of 10⁻⁸, 10⁵ steps.
    N, n, dtype = 100_000, 4, np.float32
    F = np.eye(n, dtype=dtype) + 0.01 * np.eye(n, k=1, dtype=dtype)
    H = np.stack([np.eye(n)[0], 1 / np.arange(1, n + 1)]).astype(dtype)
    Q, R = np.array([0, 0, 0, 1e-6], dtype), np.full(2, 1e-8, dtype)
    rng = np.random.default_rng(0)
    ys = (1e-4 * rng.normal(size=(N, 2))).astype(dtype)
    ys[100:][rng.random((N - 100, 2)) < 0.3] = np.nan
    model, prior = (
        LinearGaussian(F, Q, H, R),
        Gaussian(np.zeros(n, dtype), 1e6 * np.eye(n, dtype=dtype)),
    )

    covariance = kalman(model)
    P = jax.jit(lambda ys: rollout(covariance.step, covariance.init(prior), ys)[1].P)(ys)
    broken = ~np.isfinite(P).all((1, 2))
    assert broken.any() or np.linalg.eigvalsh(P.astype(float)).min() < 0

    estimates, smoothed = compiled(model, prior, ys)
    for name, result in {"filter": estimates, "smoother": smoothed}.items():
        assert result.root.dtype == result.m.dtype == dtype
        assert np.isfinite(result.m).all() and np.isfinite(result.root).all(), name
        P = np.asarray(result.root, float)
        eigenvalues = np.linalg.eigvalsh(P @ np.swapaxes(P, 1, 2))
        # Their ratio reaches 10¹⁶: below zero only by the rounding of eigvalsh itself.
        assert np.all(eigenvalues[:, 0] > -1e-14 * eigenvalues[:, -1]), name
    # And right, to what single precision can hold of it.
    double, _ = jax.tree.map(lambda a: a.astype(float), (model, prior))
    exact, smooth = compiled(double, Gaussian(*(a.astype(float) for a in prior)), ys.astype(float))
    for ours, theirs in ((estimates, exact), (smoothed, smooth)):
        ours, theirs = (
            jax.tree.map(lambda a: np.asarray(a, float)[100:], e) for e in (ours, theirs)
        )
        sigma = np.linalg.norm(theirs.root, axis=2)
        assert np.max(np.abs(np.linalg.norm(ours.root, axis=2) / sigma - 1)) < 0.05
        assert np.max(np.abs(ours.m - theirs.m) / sigma) < 0.5


def test_a_step_stays_in_the_loop():
    prior, models, inputs, ys = random_case(4, 2, 1, 5, 0)
    text = compiled.lower(
        LinearGaussian(**models[0]), Gaussian(*prior), {"y": ys, "u": inputs}, False
    )
    assert "custom-call" not in text.compile().as_text()
