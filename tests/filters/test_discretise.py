"""Exact discretisation against scipy's exponential, at irregular times, with gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from filters.discretise import LinearSDE, discretise, intervals
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from sim import rollout
from tests.filters.derivatives import check_gradient, quick

compiled = quick(discretise)


def random(n=3, seed=0):
    rng = np.random.default_rng(seed)
    return LinearSDE(
        A=rng.normal(size=(n, n)),
        Qc=np.array([[0.7]]),
        L=rng.normal(size=(n, 1)),
        B=rng.normal(size=(n, 2)),
        b=rng.normal(size=n),
    )


def van_loan(sde, dt):
    n = len(sde.A)
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n], block[n:, n:], block[:n, n:] = -sde.A, sde.A.T, sde.L @ sde.Qc @ sde.L.T
    e = scipy.linalg.expm(block * dt)
    F = e[n:, n:].T
    drive = np.zeros((n + 3, n + 3))
    drive[:n, :n], drive[:n, n:-1], drive[:n, -1] = sde.A, sde.B, sde.b
    held = scipy.linalg.expm(drive * dt)
    return {"F": F, "Q": F @ e[:n, n:], "B": held[:n, n:-1], "b": held[:n, -1]}


def test_equals_the_matrix_exponential_at_irregular_steps():
    sde, dt = random(), np.array([0.0, 1e-6, 0.03, 0.4, 3.0])
    found = compiled(sde, dt)
    for k, step in enumerate(dt):
        for name, expected in van_loan(sde, step).items():
            np.testing.assert_allclose(found[name][k], expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found["F"][0], np.eye(3))
    assert np.all(found["Q"][0] == 0)
    single = compiled(jax.tree.map(np.float32, sde), dt.astype(np.float32))
    assert single["Q"].dtype == np.float32
    np.testing.assert_allclose(single["Q"], found["Q"], rtol=1e-4, atol=1e-6)


def test_a_stiff_equation_where_the_block_exponential_overflows():
    A = np.array([[-1e4, 0.0], [1.0, -0.1]])
    found = compiled(LinearSDE(A=A, Qc=np.diag([2e4, 0.2])), np.array([1.0, 1e3]))
    settled = scipy.linalg.solve_continuous_lyapunov(A, -np.diag([2e4, 0.2]))
    np.testing.assert_allclose(found["Q"][1], settled, rtol=1e-9)
    np.testing.assert_allclose(found["F"][0], scipy.linalg.expm(A), atol=1e-12)


def test_gradients_in_both_modes_against_differences():
    sde = random(2)

    def loss(at):
        a, dt = at
        parts = discretise(sde._replace(A=a * sde.A), dt)
        return sum(jnp.sum(jnp.sin(part)) for part in parts.values())

    check_gradient(loss, [1.2, 0.6])


def test_an_irregular_record_is_the_regular_one_with_gaps():
    sde = random(2)._replace(B=None, b=None)
    ys = np.random.default_rng(0).normal(size=(6, 1))
    rest = dict(H=jnp.array([[1.0, 0.0]]), R=jnp.array([0.5]))
    prior = Gaussian(jnp.zeros(2), jnp.eye(2))
    t = np.arange(1, 7) * 0.2
    kept = np.array([0, 1, 4, 5])

    @quick
    def estimate(dt, ys):
        stepper = kalman(LinearGaussian(**discretise(sde, 0.2), **rest))
        xs = {"y": ys, **discretise(sde, dt)}
        return rollout(stepper.step, stepper.init(prior), xs)[1]

    gaps = ys.copy()
    gaps[[2, 3]] = np.nan
    regular, irregular = (
        estimate(intervals(t, 0.0)["dt"], gaps),
        estimate(intervals(t[kept], 0.0)["dt"], ys[kept]),
    )
    np.testing.assert_allclose(irregular.P, regular.P[kept], atol=1e-12)
    np.testing.assert_allclose(irregular.loglik.sum(), regular.loglik.sum(), rtol=1e-12)


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: intervals([1.0, 0.5], 0.0),
            "t: expected finite times that do not decrease, got 0.5 s at sample 1 after 1 s",
        ),
        (lambda: intervals([1.0, 2.0], 3.0), "got 1 s at sample 0 after 3 s"),
        (lambda: intervals([1.0, np.nan], 0.0), "t: expected finite times"),
        (
            lambda: discretise(random(), [0.1, -0.1]),
            "dt: expected finite steps of at least 0 s, got -0.1",
        ),
        (lambda: discretise(LinearSDE(np.ones((2, 3))), 0.1), "A: expected a square matrix"),
        (
            lambda: discretise(LinearSDE(np.eye(2), np.eye(1)), 0.1),
            r"Qc: expected \(2, 2\), got \(1, 1\)",
        ),
        (
            lambda: discretise(LinearSDE(np.eye(2), -np.eye(2)), 0.1),
            "Qc: expected variances of at least 0, got -1",
        ),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
