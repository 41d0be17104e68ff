"""A discrete linear system: simulation, prediction and fits against scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.signal import dlsim

from sim import rollout
from sim.fit import Experiment, Linear, Simulation, bands, fit, linear, n4sid

TRUTH = Linear(
    A=np.array([[0.9, 0.2], [-0.2, 0.7]]),
    B=np.array([[1.0, 0.0], [0.3, -0.5]]),
    C=np.array([[1.0, 0.0], [0.5, 1.0]]),
    D=np.zeros((2, 2)),
    K=np.array([[0.4, 0.0], [0.1, 0.3]]),
)


def recorded(samples, seed, noise=0.1):
    random = np.random.default_rng(seed)
    u, e = random.normal(size=(samples, 2)), noise * random.normal(size=(samples, 2))
    x, y = np.array([0.5, -0.5]), np.zeros((samples, 2))
    for k in range(samples):
        y[k] = TRUTH.C @ x + e[k]
        x = TRUTH.A @ x + TRUTH.B @ u[k] + TRUTH.K @ e[k]
    return u, y, e


def outputs(params, x0, inputs):
    stepper = linear(params)
    return rollout(stepper.step, stepper.init(x0), inputs)[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_simulation_agrees_with_scipy(dtype):
    system = Linear(*(M.astype(dtype) for M in TRUTH._replace(D=np.eye(2))))
    u = recorded(50, 0)[0].astype(dtype)
    y = outputs(system, np.ones(2, dtype), u)
    expected = dlsim((*system[:4], 1), u, x0=np.ones(2))[1]
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=100 * np.finfo(dtype).eps)


def test_a_prediction_leaves_the_innovations_and_ignores_missing_samples():
    u, y, e = recorded(60, 1)
    predicted = outputs(TRUTH, np.array([0.5, -0.5]), (u, y))
    np.testing.assert_allclose(y - predicted, e, rtol=0, atol=1e-13)
    # By what a prediction makes of it, a sample that is missing is one that was foreseen.
    gap = y.copy()
    gap[20] = np.nan
    foreseen = y.copy()
    foreseen[20] = predicted[20]
    x0 = np.array([0.5, -0.5])
    np.testing.assert_allclose(outputs(TRUTH, x0, (u, gap)), outputs(TRUTH, x0, (u, foreseen)))
    slope = jax.grad(lambda K: jnp.nansum(outputs(TRUTH._replace(K=K), x0, (u, gap)) ** 2))(TRUTH.K)
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0


def test_a_fit_of_the_prediction_error_agrees_with_scipy():
    u, y, _ = recorded(300, 2)
    start = n4sid(u, y, 2)
    known = {"A": "fixed", "C": "fixed", "D": "fixed"}
    objective, e = Simulation(linear), Experiment((u, y), y)
    result = fit(
        objective,
        start.system,
        e,
        states=start.x0,
        parameters=known,
        free_states=False,
        tolerance=1e-14,
    )

    def errors(z):
        B, K = z.reshape(2, 2, 2)
        x, left = start.x0, []
        for k in range(len(y)):
            left.append(y[k] - start.C @ x - start.D @ u[k])
            x = start.A @ x + B @ u[k] + K @ left[-1]
        return (np.array(left) * np.asarray(result.problem.weights)).ravel()

    begin = np.concatenate([start.B.ravel(), start.K.ravel()])
    expected = least_squares(errors, begin, ftol=1e-14, xtol=1e-12).x
    got = np.concatenate([np.ravel(result.params.B), np.ravel(result.params.K)])
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_fit_of_all_matrices_improves_on_its_start():
    u, y, _ = recorded(600, 3, noise=0.5)
    start = n4sid(u, y, 2)
    result = fit(
        Simulation(linear),
        start.system,
        Experiment((u, y), y),
        states=start.x0,
        parameters={"D": "fixed"},
    )
    assert result.message.startswith("converged")
    # Any basis of the state is equivalent: that is reported, and the band of the output is finite.
    assert (
        "A[0, 0]" in result.uncertainty.open[0]
        and "only a combination" in result.uncertainty.open[0]
    )
    assert np.isfinite(bands(result).sd).all()

    def response(system):
        A, B, C, _, K = system
        return np.stack([C @ np.linalg.matrix_power(A, k) @ np.hstack([B, K]) for k in range(8)])

    away = [np.linalg.norm(response(s) - response(TRUTH)) for s in (start.system, result.params)]
    assert away[1] < away[0]


def test_a_series_without_input():
    y = recorded(400, 4)[1][:, :1] * 0
    random = np.random.default_rng(4).normal(size=401)
    for k in range(1, 400):
        y[k] = 0.8 * y[k - 1] + random[k]
    start = n4sid(None, y, 1)
    result = fit(Simulation(linear), start.system, Experiment((None, y), y), states=start.x0)
    # What it foresees is no worse than by the AR(1) that least squares finds, which it holds.
    by_hand = (y[1:, 0] @ y[:-1, 0]) / (y[:-1, 0] @ y[:-1, 0])
    errors = y - outputs(result.params, result.states[0], (None, y))
    assert np.sum(errors[1:] ** 2) <= np.sum((y[1:] - by_hand * y[:-1]) ** 2) * (1 + 1e-4)
    assert abs(float(result.params.A[0, 0]) - 0.8) < 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: linear((1, 2)), r"params: expected sim.fit.Linear, got tuple"),
        (
            lambda: linear(TRUTH._replace(K=np.zeros((1, 2)))),
            r"params.K: expected shape \(2, 2\), got \(1, 2\)",
        ),
        (lambda: linear(TRUTH).init(np.zeros(3)), r"x0: expected shape \(2,\), got \(3,\)"),
        (lambda: outputs(TRUTH, None, np.zeros((5, 3))), r"u: expected shape \(2,\), got \(3,\)"),
        (
            lambda: outputs(TRUTH, None, (np.zeros((5, 2)), np.zeros(5))),
            r"y: expected shape \(2,\), got \(\)",
        ),
    ],
)
def test_a_mistake_is_one_line(change, words):
    with pytest.raises(ValueError, match=words):
        change()
