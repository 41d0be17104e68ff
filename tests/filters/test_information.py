"""The information filter: the joint Gaussian, the diffuse start, the same likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.diffuse import diffuse_kalman
from filters.gaussian import Gaussian
from filters.information import Information, information_kalman
from filters.kalman import LinearGaussian
from filters.rts import rts
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import check_covariances, posterior, random_case
from tests.filters.test_kalman import as_xs


@quick
def filtered(model, prior, xs):
    stepper = information_kalman(model)
    return rollout(stepper.step, stepper.init(prior), xs)[1]


def run(model, prior, xs, on_first=False):
    stepper, smoother = information_kalman(model), rts()
    estimates = rollout(stepper.step, stepper.init(prior, on_first), xs)[1]
    return estimates, rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1]


compiled = quick(run, static_argnums=3)


@pytest.mark.parametrize(("n", "varying"), [(3, True), (13, False)])
def test_equals_conditioning_the_joint_gaussian(n, varying):
    prior, models, inputs, ys = random_case(n, 2, 1, 4, 1, 0.3, varying)
    for model in models:  # F of any model may be near singular: the form needs its inverse
        model["F"] = 0.5 * model["F"] + np.eye(n)
    xs = as_xs(models, inputs, ys, varying)
    estimates, smoothed = compiled(LinearGaussian(**models[0]), Gaussian(*prior), xs, n == 3)
    mean, P, loglik = posterior(prior, models, inputs, ys, on_first=n == 3)
    tolerance = dict(rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(smoothed.m, mean[1:], **tolerance)
    np.testing.assert_allclose(smoothed.P, P[1:], **tolerance)
    np.testing.assert_allclose(estimates.loglik.sum(), loglik, **tolerance)
    check_covariances(estimates.P, estimates.P_pred, estimates.S, smoothed.P, estimates.Y)


def test_a_start_from_nothing_equals_the_exact_diffuse_filter():
    F, H = jnp.array([[1.0, 1.0], [0.0, 1.0]]), jnp.array([[1.0, 0.0]])
    model = LinearGaussian(F, jnp.array([1.0, 0.0]), H, jnp.array([2.0]))  # Q singular
    ys = jnp.array([[1.0], [2.0], [jnp.nan], [4.5], [4.0]])
    estimates = filtered(model, Information(jnp.zeros(2), jnp.zeros((2, 2))), ys)
    stepper = diffuse_kalman(model)
    start = stepper.init(Gaussian(jnp.zeros(2), jnp.zeros((2, 2))))
    _, exact = quick(rollout, static_argnums=0)(stepper.step, start, ys)
    assert np.isnan(estimates.m[0]).all() and estimates.loglik[:2].tolist() == [0, 0]
    np.testing.assert_allclose(estimates.m[1:], exact.m[1:], rtol=1e-9)
    np.testing.assert_allclose(estimates.P[1:], exact.P[1:], rtol=1e-9)
    np.testing.assert_allclose(estimates.loglik[2:], exact.loglik[2:], rtol=1e-9)


def test_gradients_float32_and_the_loop():
    prior, models, inputs, ys = random_case(2, 2, 1, 5, 4, 0.3)
    rest = {k: v for k, v in models[0].items() if k != "Q"}
    xs = {"y": ys, "u": inputs}
    nothing = Information(jnp.zeros(2), jnp.zeros((2, 2)))

    def loss(q):
        stepper = information_kalman(LinearGaussian(Q=q * models[0]["Q"], **rest))
        return rollout(stepper.step, stepper.init(nothing), xs)[1].loglik.sum()

    check_gradient(loss, 1.3)
    single = jax.tree.map(np.float32, (LinearGaussian(**models[0]), Gaussian(*prior), xs))
    scan = filtered.lower(*single).compile()
    assert "custom-call" not in scan.as_text()
    estimates = scan(*single)
    assert estimates.Y.dtype == np.float32
    np.testing.assert_allclose(
        estimates.loglik.sum(), posterior(prior, models, inputs, ys)[2], rtol=1e-4
    )


def test_mistakes_are_named():
    stepper = information_kalman(LinearGaussian(jnp.eye(2), jnp.ones(2), jnp.eye(2), jnp.ones(2)))
    with pytest.raises(ValueError, match=r"prior: expected z \(2,\) and Y \(2, 2\)"):
        stepper.init(Information(jnp.zeros(2), jnp.zeros((3, 3))))
    with pytest.raises(ValueError, match="prior.Y: expected"):
        stepper.init(Information(jnp.zeros(2), -jnp.eye(2)))
