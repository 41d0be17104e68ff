"""Gauss-Newton without a Jacobian: its step against the dense one, and many parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper
from sim.fit import Experiment, Simulation, fit
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.losses import loss, residual_vector
from sim.fit.solvers.gauss_newton import GaussNewton
from tests.filters.derivatives import quick


def bent(p):
    """Taps of a filter, and a bend behind it."""

    def step(past, u):
        past = jnp.concatenate([u[None], past[:-1]])
        return past, jnp.tanh(p["bend"] * jnp.sum(p["taps"] * past))

    return Stepper(lambda: jnp.zeros_like(p["taps"]), step)


BENT, EXACT = Simulation(bent), GaussNewton(accuracy=1e-12)
PRIOR = {"bend": {"mean": 0.4, "sd": 0.1}}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_hundreds_of_parameters_are_recovered(dtype):
    rng = np.random.default_rng(0)
    u = rng.normal(size=900)
    truth = rng.normal(size=320) * np.exp(-np.arange(320) / 50)
    y = np.tanh(0.1 * np.convolve(u, truth)[:900])
    e = Experiment(jnp.asarray(u, dtype), jnp.asarray(y[:, None], dtype))
    start = {"taps": np.eye(1, 320, dtype=dtype)[0], "bend": np.asarray(0.1, dtype)}
    found = fit(BENT, start, e, parameters={"bend": "fixed"}, solver=GaussNewton())
    assert found.params["taps"].dtype == dtype
    np.testing.assert_allclose(
        found.params["taps"], truth, atol=1e-7 if dtype == "float64" else 1e-3
    )
    assert found.loss.shape[0] < 40 and np.all(np.diff(found.loss) <= 0)
    assert found.message.startswith("converged")
    # So many unknowns are not asked for a covariance, and it is said.
    assert found.uncertainty.covariance is None and len(found.uncertainty.names) == 320
    assert found.uncertainty.open == ("more than 300 unknowns: no covariance was computed",)


def test_a_step_is_that_of_the_damped_normal_equations():
    rng = np.random.default_rng(1)
    e = Experiment(jnp.asarray(rng.normal(size=40)), jnp.asarray(rng.normal(size=(40, 1))))
    start = {"taps": rng.normal(size=6), "bend": 0.5}
    problem, z = build_problem(BENT, start, e, PRIOR)
    search = EXACT.init(problem, z)._replace(damping=jnp.asarray(0.3))
    after = EXACT.step(problem, search, 0.0)
    r, J = quick(
        lambda z: (residual_vector(problem, z), jax.jacfwd(residual_vector, 1)(problem, z))
    )(z)
    damped = J.T @ J + 0.3 * jnp.diag(after.scale**2)
    delta = -np.linalg.solve(damped, J.T @ r)
    np.testing.assert_allclose(after.z - z, delta, rtol=1e-6)
    np.testing.assert_allclose(after.loss, loss(problem, z + delta), rtol=1e-9)
    # The column norms are estimates, from a few random signs.
    share = np.asarray(after.scale) / np.linalg.norm(J, axis=0)
    assert share.min() > 0.1 and share.max() < 4


def test_a_step_that_raises_the_loss_is_turned_back_and_damped():
    e = Experiment(jnp.ones(40), jnp.linspace(0.0, 1.0, 40)[:, None])
    problem, z = build_problem(BENT, {"taps": np.ones(6), "bend": 0.5}, e, PRIOR)
    # Nothing is below a loss as small as this.
    search = EXACT.init(problem, z)._replace(loss=jnp.asarray(1e-9))
    after = EXACT.step(problem, search, 0.0)
    np.testing.assert_array_equal(after.z, z)
    assert float(after.damping) == 2e-3 and int(after.rejected) == 1
