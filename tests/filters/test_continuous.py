"""The continuous-discrete filter: exact on linear models, to the order of its integrator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.continuous import continuous_extended
from filters.discretise import LinearSDE, discretise, intervals
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.rts import rts
from integrators import rk4
from sim import rollout
from sim.piece import Piece
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import check_covariances

A = jnp.array([[0.0, 1.0], [-2.0, -0.3]])
Qc = jnp.array([[0.0, 0.0], [0.0, 0.4]])
H = jnp.array([[1.0, 0.5]])
R = jnp.array([0.2])
T = np.array([0.3, 0.5, 0.5, 1.1, 1.2])
YS = np.array([[0.3], [0.8], [np.nan], [0.2], [-0.4]])
PRIOR = Gaussian(jnp.array([1.0, 0.0]), jnp.diag(jnp.array([0.5, 0.2])))


def drift(t, x, u):
    return A @ x + jnp.array([0.0, 1.0]) * u


def sensor(x, u, t):
    return H @ x


def smoothed(stepper, xs, prior=PRIOR):
    estimates = rollout(stepper.step, stepper.init(prior), xs)[1]
    back = rts()
    return estimates, rollout(back.step, back.init(estimates), estimates, reverse=True)[1]


def test_equals_exact_discretisation_on_a_linear_model_to_fourth_order():
    us = np.array([0.5, -1.0, 7.0, 0.3, 2.0])
    dt = intervals(T, 0.0)["dt"]
    sde = LinearSDE(A, Qc, B=jnp.array([[0.0], [1.0]]))
    exact = kalman(LinearGaussian(H=H, R=R, **discretise(sde, 0.1)))
    exact = quick(smoothed)(exact, {"y": YS, "u": us[:, None], **discretise(sde, dt)})
    errors = []
    for substeps in (2, 4, 40):
        stepper = continuous_extended(drift, sensor, Qc, R, rk4, substeps=substeps)
        # Two times alike: two observations of one state.
        xs = {"y": YS, "u": us, **intervals(T, 0.0)}
        estimates, back = quick(smoothed)(stepper, xs)
        check_covariances(estimates.P, estimates.P_pred, estimates.S, back.P)
        errors.append(
            max(
                np.abs(a - b).max()
                for a, b in zip(
                    jax.tree.leaves((estimates._replace(innovation=0.0), back)),
                    jax.tree.leaves((exact[0]._replace(innovation=0.0), exact[1])),
                    strict=True,
                )
            )
        )
    assert errors[2] < 1e-7
    assert 3.5 < np.log2(errors[0] / errors[1]) < 4.6


def test_an_input_is_seen_between_samples_and_by_the_sensor_at_its_time():
    # dx/dt = t exactly, as a ramp: x = t²/2; the sensor adds the time and the input.
    stepper = continuous_extended(
        lambda t, x, u: u[None], lambda x, u, t: x + u + t, [[0.0]], [1e-12], rk4
    )
    start, end = np.array([0.0, 0.5]), np.array([0.5, 2.0])
    ramp = Piece((jnp.asarray(start), jnp.asarray(end)), (0.0, 1.0))
    xs = {"y": (end**2 / 2 + 2 * end)[:, None], "u": ramp, **intervals(end, 0.0)}
    carry = stepper.init(Gaussian(jnp.zeros(1), jnp.zeros((1, 1))))
    _, estimates = rollout(stepper.step, carry, xs)
    np.testing.assert_allclose(estimates.m_pred[:, 0], end**2 / 2, rtol=1e-12)
    np.testing.assert_allclose(estimates.innovation, 0, atol=1e-12)


def pendulum(t, x, u):
    return jnp.stack([x[1], -9.81 * jnp.sin(x[0])])


def test_a_pendulum_gradients_and_the_loop():
    xs = {"y": YS, **intervals(np.array([0.1, 0.2, 0.25, 0.4, 0.45]), 0.0)}

    def loss(q):
        stepper = continuous_extended(
            pendulum, lambda x, u, t: jnp.sin(x[:1]), q * Qc, R, rk4, substeps=2
        )
        estimates = rollout(stepper.step, stepper.init(PRIOR), xs)[1]
        return estimates.loglik.sum()

    check_gradient(loss, 1.3)

    single = jax.tree.map(lambda a: jnp.asarray(a, np.float32), (PRIOR, xs))
    stepper = continuous_extended(pendulum, lambda x, u, t: jnp.sin(x[:1]), Qc, R, rk4)
    scan = quick(lambda prior, xs: rollout(stepper.step, stepper.init(prior), xs)[1])
    scan = scan.lower(*single).compile()
    assert "custom-call" not in scan.as_text()
    estimates = scan(*single)
    assert estimates.m.dtype == np.float32 and np.isfinite(estimates.P).all()


def test_a_batch_is_a_loop_over_its_members():
    def run(R, xs):
        stepper = continuous_extended(pendulum, sensor, Qc, R, rk4)
        return rollout(stepper.step, stepper.init(PRIOR), xs)[1]

    Rs, later = np.array([[0.2], [0.5]]), np.stack([T, 2 * T])
    many = {"y": np.stack([YS, -YS]), **jax.vmap(lambda t: intervals(t, 0.0))(later)}
    batch = quick(jax.vmap(run))(Rs, many)
    for k in range(2):
        alone = quick(run)(Rs[k], jax.tree.map(lambda a, k=k: a[k], many))
        jax.tree.map(
            lambda a, b, k=k: np.testing.assert_allclose(a[k], b, rtol=1e-9, atol=1e-12),
            batch,
            alone,
        )
    assert not np.allclose(batch.m[0], batch.m[1])


def test_mistakes_are_named():
    def run(f=drift, Qc=Qc, **xs):
        stepper = continuous_extended(f, sensor, Qc, R, rk4)
        xs = {"y": YS, "u": np.zeros(5), **intervals(T, 0.0)} | xs
        xs = {name: x for name, x in xs.items() if x is not None}
        rollout(stepper.step, stepper.init(PRIOR), xs)

    for call, words in [
        (lambda: run(dt=None), "expected 'y', 't' and 'dt', got nothing under 'dt'"),
        (lambda: run(f=lambda t, x, u: x[:1]), r"f: expected a rate of shape \(2,\)"),
        (lambda: run(Qc=np.eye(3)), r"Qc: expected \(2, 2\), as the prior has, got \(3, 3\)"),
        (lambda: run(Qc=np.ones(2)), r"Qc: expected \(n, n\), got shape \(2,\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
