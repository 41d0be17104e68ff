"""The loop of every search: evaluate, compare, keep the best place, stop."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.check import positive
from sim.fit.problem.losses import loss
from sim.fit.problem.problem import Problem
from sim.fit.result import Best
from sim.fit.solvers.status import SEARCHING, Solver

VALIDATION_PATIENCE = 20  # evaluations without a new best, by default


def run_search(
    advance: Callable,
    search: Any,
    losses: list,
    validation_losses: list,
    *,
    is_running: Callable,
    steps: int,
    report: Callable | None,
    on_state: Callable | None,
) -> tuple[Any, int]:
    """Advance one search, or a batch of them, until none is running.

    Args:
        advance: ``advance(search, running) -> (search, loss, validation loss or None)``, one
            evaluation.
        search: a `SearchState` or a `BatchState`.
        losses, validation_losses: lists, to which both are appended after each evaluation.
        is_running: ``is_running(search, steps)``, a bool, or one for each member.
        steps: evaluations at most.
        report, on_state: as `fit` takes them.

    Returns:
        The search at its end, and the evaluations at most: fewer if on_state returned true.
    """
    while np.any(running := is_running(search, steps)):
        search, value, validation_loss = advance(search, running)
        losses.append(value)
        validation_losses.append(validation_loss)
        count = int(np.max(search.search.steps))
        if report is not None:
            report(count, value)
        if on_state is not None and on_state(search, value, validation_loss):
            steps = count
    return search, steps


def is_running(search, steps: int, patience: float):
    """Whether a search goes on, or which members of a batch."""
    state = search.search
    searching = (np.asarray(state.steps) < steps) & (np.asarray(state.status) == SEARCHING)
    return searching & (np.asarray(search.best.steps_since) < patience)


def patience_or_default(patience: int | None, validation) -> float:
    """Evaluations without a new best after which a search stops.

    Raises:
        ValueError: patience is no integer of at least 1, nor None.
    """
    if patience is None:
        return np.inf if validation is None else VALIDATION_PATIENCE
    return positive("patience", patience)


def monitored_loss(solver: Solver, state, problem: Problem, validation: Problem | None):
    """The loss that decides which place is best: that of the validation experiments if there
    are any. Their outputs keep their weights, so that it is comparable between rounds."""
    if validation is None:
        return solver.loss(state)
    return loss(validation, state.z[: problem.parameter_count])


def update_best(best: Best, z, value, running=True) -> Best:
    """The best place after an evaluation at z; as it was unless the search is running."""
    running = jnp.asarray(running)
    better = running & (value < best.loss)
    return Best(
        jnp.where(better, z, best.z),
        jnp.where(better, value, best.loss),
        jnp.where(better, 0, best.steps_since + running.astype(best.steps_since.dtype)),
    )


jit_update_best = jax.jit(update_best)
