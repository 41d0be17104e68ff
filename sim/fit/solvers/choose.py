"""Which solver suits an objective."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.linearisation import linearise
from sim.fit.problem.losses import forward_mode
from sim.fit.problem.objectives import Truncated, check_objective, whole_objective
from sim.fit.problem.problem import Problem
from sim.fit.solvers import gauss_newton, gradient_descent, newton, truncated_backprop
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.adam import adam
from sim.fit.solvers.gauss_newton import GaussNewton
from sim.records.experiment import check_same_structure


class Solver(NamedTuple):
    """A way to search: ``begin(problem, z)``, ``advance(problem, search, tolerance)``, and
    ``loss(search)``."""

    begin: Callable
    advance: Callable
    loss: Callable


def choose_solver(objective, solver) -> Solver:
    """The way to search for an objective by a solver.

    Raises:
        ValueError: the solver is none, or does not suit the objective.
    """
    check_objective(whole_objective(objective))
    truncated = isinstance(objective, Truncated)
    squares = not truncated and not objective.is_likelihood
    if solver is None and squares:
        return Solver(_init, step, lambda search: search.linearisation.loss)
    if isinstance(solver, GaussNewton):
        if not squares:
            raise ValueError(
                "solver: GaussNewton() takes a Simulation over whole records, "
                f"got {type(objective).__name__}"
            )
        begin, advance = gauss_newton.init, gauss_newton.step
        return Solver(
            partial(begin, solver), partial(forward_mode, partial(advance, solver)), _solver_loss
        )
    if solver is None and not truncated:
        return Solver(newton.init, newton.step, newton.loss_at)
    solver = adam() if solver is None else solver
    if not (hasattr(solver, "init") and hasattr(solver, "update")):
        raise ValueError(
            f"solver: expected None, GaussNewton() or a transformation of optax, got {solver!r}"
        )
    if truncated:
        advance = partial(truncated_backprop.step, solver, objective.window, objective.batch)

        def begin(problem, z):
            shaped = jax.tree.map(lambda leaf: np.broadcast_to(0, leaf.shape), problem.groups)
            check_same_structure(problem.in_user_order(shaped))
            return truncated_backprop.init(solver, objective.seed, problem, z)

        return Solver(begin, advance, _solver_loss)
    return Solver(
        partial(gradient_descent.init, solver), partial(gradient_descent.step, solver), _solver_loss
    )


def _solver_loss(search):
    return search.loss


def _init(problem, z):
    return _init_state(z, linearise(problem, z))


@jax.jit
def _propose(search):
    return lm.propose(search)


_init_state, _accept_or_reject = jax.jit(lm.init), jax.jit(lm.accept_or_reject)


def step(problem: Problem, search: lm.State, tolerance: float) -> lm.State:
    """The search by Levenberg and Marquardt one evaluation further."""
    z = _propose(search)
    return _accept_or_reject(search, z, linearise(problem, z), jnp.asarray(tolerance, z.dtype))
