"""Which solver suits an objective."""

from typing import Any

import optax

from sim.fit.problem.objectives import Truncated, check_objective, whole_objective
from sim.fit.solvers.adam import adam
from sim.fit.solvers.gauss_newton import GaussNewton
from sim.fit.solvers.gradient_descent import GradientDescent
from sim.fit.solvers.levenberg_marquardt import LevenbergMarquardt
from sim.fit.solvers.newton import Newton
from sim.fit.solvers.status import Solver
from sim.fit.solvers.truncated_backprop import TruncatedBackprop


def choose_solver(objective, solver: Any) -> Solver:
    """The solver for an objective: the one that was given, or by default one that suits it.

    Args:
        objective: as `fit` takes it.
        solver: None, a transformation of optax, or a `Solver`.

    Raises:
        ValueError: the objective is none, or the solver is none or does not suit it.
    """
    check_objective(whole_objective(objective))
    truncated = isinstance(objective, Truncated)
    if isinstance(solver, GaussNewton) and (truncated or objective.is_likelihood):
        raise ValueError(
            "solver: GaussNewton() takes a Simulation over whole records, "
            f"got {type(objective).__name__}"
        )
    if solver is None:
        if not truncated:
            return Newton() if objective.is_likelihood else LevenbergMarquardt()
        solver = adam()
    if isinstance(solver, optax.GradientTransformation):
        if truncated:
            return TruncatedBackprop(solver, objective.window, objective.batch, objective.seed)
        return GradientDescent(solver)
    if not isinstance(solver, Solver):
        raise ValueError(
            f"solver: expected None, GaussNewton() or a transformation of optax, got {solver!r}"
        )
    if truncated:
        raise ValueError(
            f"solver: expected a transformation of optax for Truncated, got {solver!r}"
        )
    return solver
