"""The steady state: Riccati against scipy and the running filter, and published gains."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.rts import rts
from filters.steady_state import riccati, steady_state, steady_state_kalman
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import check_covariances, random_case

solve, settled = quick(riccati), quick(steady_state)


def constant(n, m, seed=0):
    model = random_case(n, m, 1, 1, seed)[1][0]
    return [jnp.asarray(model[name]) for name in "FQHR"]


@pytest.mark.parametrize("n, m, grow", [(1, 1, 1.0), (4, 2, 1.0), (5, 2, 1.5), (13, 3, 1.0)])
def test_equals_scipy(n, m, grow):
    F, Q, H, R = constant(n, m)
    P = solve(grow * F, Q, H, R)  # 1.5: a model that is not stable
    expected = scipy.linalg.solve_discrete_are(grow * F.T, H.T, Q, R)
    np.testing.assert_allclose(P, expected, rtol=1e-9, atol=1e-11)
    check_covariances(P)
    single = solve(*(a.astype(np.float32) for a in (grow * F, Q, H, R)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=2e-3, atol=1e-4)


def test_gradient_in_both_modes_and_its_own():
    model, direction = constant(2, 1, 1), constant(2, 1, 2)

    def along(e):
        return jnp.sum(
            jnp.sin(riccati(*(a + e * d for a, d in zip(model, direction, strict=True))))
        )

    check_gradient(along, 0.0)
    slope, second = quick(jax.grad(along)), quick(jax.jacfwd(jax.grad(along)))
    np.testing.assert_allclose(second(0.0), (slope(1e-5) - slope(-1e-5)) / 2e-5, rtol=1e-6)


def test_published_values(shared):
    published = json.loads((shared / "references" / "estimation.json").read_text())
    nile, tracker = published["nile"], published["alpha_beta"]
    level = LinearGaussian([[1.0]], [nile["sigma2_eta"]], [[1.0]], [nile["sigma2_eps"]])
    rest = settled(level)
    np.testing.assert_allclose(
        rest.P_pred[0, 0], nile["steady_state_predicted_variance"], atol=5e-7
    )
    np.testing.assert_allclose(rest.K[0, 0], nile["steady_state_gain"], atol=5e-11)
    np.testing.assert_allclose(rest.P[0, 0], nile["final_filtered_variance"], atol=5e-7)
    for dt in (1.0, 0.1):  # noise of the acceleration such that the index is 0.2
        gain = np.array([[dt**2 / 2], [dt]]) * tracker["tracking_index"] / dt**2
        model = LinearGaussian([[1.0, dt], [0.0, 1.0]], gain @ gain.T, [[1.0, 0.0]], [1.0])
        alpha, beta = settled(model).K[:, 0] * jnp.array([1.0, dt])
        np.testing.assert_allclose(alpha, tracker["alpha"], atol=5e-11)
        np.testing.assert_allclose(beta, tracker["beta"], atol=5e-11)


def test_the_full_filter_settles_on_it_and_the_smoother_takes_it():
    F, Q, H, R = constant(3, 2)
    model = LinearGaussian(F, Q, H, R, B=jnp.ones((3, 1)), d=jnp.ones(2))
    rng = np.random.default_rng(0)
    xs = {"y": rng.normal(size=(80, 2)), "u": rng.normal(size=(80, 1))}
    prior = Gaussian(jnp.zeros(3), settled(model).P)

    @quick
    def both(xs):
        results = []
        for stepper in (kalman(model), steady_state_kalman(model)):
            estimates = rollout(stepper.step, stepper.init(prior), xs)[1]
            back = rts()
            smoothed = rollout(back.step, back.init(estimates), estimates, reverse=True)[1]
            results.append((estimates, smoothed))
        return results

    full, constant_gain = both(xs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), full, constant_gain)
    xs["y"][5, 0], xs["y"][6] = np.nan, np.nan
    _, (estimates, _) = both(xs)
    assert np.isfinite(estimates.m).all() and estimates.loglik[6] == 0
    np.testing.assert_allclose(estimates.m[6], estimates.m_pred[6])


def test_a_step_stays_in_the_loop_and_differentiates():
    F, Q, H, R = constant(4, 2)
    ys = jnp.ones((5, 2))
    stepper = steady_state_kalman(LinearGaussian(F, Q, H, R))
    run = quick(
        lambda stepper: rollout(stepper.step, stepper.init(jnp.zeros(4)), ys)[1].loglik.sum()
    )
    assert "custom-call" not in run.lower(stepper).compile().as_text()

    F, Q, H, R = constant(2, 1)

    def loss(q):
        stepper = steady_state_kalman(LinearGaussian(F, q * Q, H, R))
        return rollout(stepper.step, stepper.init(jnp.zeros(2)), ys[:, :1])[1].loglik.sum()

    check_gradient(loss, 1.0)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="every mode that does not decay to be observed by H"):
        steady_state(
            LinearGaussian(2 * jnp.eye(2), jnp.eye(2), jnp.array([[1.0, 0.0]]), jnp.eye(1))
        )
    stepper = steady_state_kalman(LinearGaussian(*constant(2, 1)))
    with pytest.raises(ValueError, match="expected 'y' and 'u' for a constant model, got 'F'"):
        xs = {"y": np.zeros((3, 1)), "F": np.zeros((3, 2, 2))}
        rollout(stepper.step, stepper.init(np.zeros(2)), xs)
