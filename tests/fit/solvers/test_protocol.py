"""A solver or an objective of the user follows a declared protocol, or is refused in one line."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper
from sim.fit import Experiment, Simulation, Truncated, ensemble, fit
from sim.fit.problem.losses import loss
from sim.fit.problem.objectives import Objective
from sim.fit.solvers.gauss_newton import GaussNewton
from sim.fit.solvers.gradient_descent import GradientDescent, lbfgs
from sim.fit.solvers.levenberg_marquardt import LevenbergMarquardt
from sim.fit.solvers.newton import Newton
from sim.fit.solvers.status import CONVERGED, SEARCHING, Solver
from sim.fit.solvers.truncated_backprop import TruncatedBackprop


class State(NamedTuple):
    z: Any
    loss: Any
    rejected: Any
    steps: Any
    non_finite: Any
    status: Any
    linearisation: None = None
    grad: None = None
    location: None = None


@dataclass(frozen=True)
class SteepestDescent:
    """z ← z − rate ∂L/∂z."""

    rate: float = 0.01

    def init(self, problem, z):
        zero = jnp.zeros((), int)
        return State(z, loss(problem, z), zero, zero, zero, zero)

    def step(self, problem, state, tolerance):
        return _step(self, problem, state, tolerance)

    def loss(self, state):
        return state.loss


@partial(jax.jit, static_argnums=0)
def _step(solver, problem, state, tolerance):
    z = state.z - solver.rate * jax.grad(loss, 1)(problem, state.z)
    value = loss(problem, z)
    done = jnp.abs(value - state.loss) <= tolerance * value
    status = jnp.where(done, CONVERGED, SEARCHING).astype(state.status.dtype)
    return state._replace(z=z, loss=value, steps=state.steps + 1, status=status)


@dataclass(frozen=True)
class LogErrors:
    """Errors of the logarithm of a decay from x0."""

    is_likelihood: ClassVar[bool] = False
    robust: ClassVar[None] = None

    def errors(self, p, x0, e):
        simulated = x0 * jnp.exp(-p["rate"] * jnp.arange(1.0, 1 + len(e.y)))
        return jnp.log(e.y) - jnp.log(simulated)[:, None], simulated[-1]


def model(p):
    return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s + u,))


U = np.random.default_rng(0).normal(size=30)
S = np.zeros(31)
for k, u in enumerate(U):
    S[k + 1] = 0.8 * S[k] + u
RECORD, START = Experiment(U, S[1:, None]), {"a": 0.6}
OWN = {"states": 0.0, "free_states": False, "steps": 200}


def test_all_solvers_follow_the_protocol():
    windows = TruncatedBackprop(lbfgs(), 5, None, 0)
    descent = GradientDescent(lbfgs())
    for solver in (LevenbergMarquardt(), GaussNewton(), Newton(), descent, windows):
        assert isinstance(solver, Solver) and hash(solver) is not None


def test_a_solver_of_ones_own_is_one_class():
    found = fit(Simulation(model), START, RECORD, solver=SteepestDescent(), **OWN)
    assert abs(found.params["a"] - 0.8) < 1e-3 and found.message.startswith("converged after ")
    again = fit(Simulation(model), START, RECORD, solver=SteepestDescent(), **OWN | {"steps": 3})
    assert len(again.loss) == 4
    more = fit(
        Simulation(model), START, RECORD, solver=SteepestDescent(), **OWN, search=again.search
    )
    assert more.params == found.params
    starts = {"a": jnp.array([0.6, 0.7])}
    members = ensemble(Simulation(model), starts, RECORD, solver=SteepestDescent(), **OWN)
    np.testing.assert_allclose(members.params["a"], 0.8, atol=1e-3)


def test_an_objective_of_ones_own_is_one_class():
    y = 3.0 * jnp.exp(-0.4 * jnp.arange(1.0, 11.0))[:, None]
    found = fit(LogErrors(), {"rate": 1.0}, Experiment(None, y), states=2.0)
    np.testing.assert_allclose([found.params["rate"], *found.states], [0.4, 3.0], rtol=1e-8)
    assert isinstance(LogErrors(), Objective) and isinstance(Simulation(model), Objective)


@pytest.mark.parametrize(
    "change, words",
    [
        (
            {"solver": object},
            "solver: expected None, GaussNewton\\(\\) or a transformation of optax",
        ),
        (
            {"solver": SteepestDescent(), "objective": Truncated(Simulation(model), 5)},
            "solver: expected a transformation of optax for Truncated, got SteepestDescent",
        ),
        ({"objective": model}, "objective: expected Simulation, Prediction or Truncated of either"),
    ],
)
def test_what_does_not_follow_it_is_refused(change, words):
    given = {"objective": Simulation(model), "start": START, "experiments": RECORD} | OWN
    with pytest.raises(ValueError, match=words):
        fit(**given | change)
