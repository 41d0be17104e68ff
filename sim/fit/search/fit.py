"""From records to parameters: `fit`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.assemble import build_problem, build_validation_problem, split_states
from sim.fit.problem.errors import divergence_error
from sim.fit.problem.fingerprint import check_fingerprint, check_same_state, fingerprint
from sim.fit.problem.objectives import whole_objective
from sim.fit.problem.problem import Problem
from sim.fit.result import Best, Fit, SearchState
from sim.fit.search.conclude import build_fit, noise, steps_phrase
from sim.fit.search.loop import (
    is_running,
    jit_update_best,
    monitored_loss,
    patience_or_default,
    run_search,
)
from sim.fit.solvers.choose import choose_solver
from sim.fit.solvers.status import SEARCHING, Solver
from sim.records.experiment import Experiment

# Rounds in which outputs are weighted by their own noise, at most: mostly the second settles
# it to this share, but next to a prior that is far off it takes many.
MAX_REWEIGHTINGS, WEIGHTS_SETTLED = 30, 0.01


def fit(
    objective,
    start: Any,
    experiments: Experiment | Sequence[Experiment],
    *,
    parameters: Mapping[str, Any] | None = None,
    states: Any = None,
    free_states: bool | None = None,
    state_kinds: Mapping[str, Any] | None = None,
    solver: Any = None,
    validation: Experiment | Sequence[Experiment] | None = None,
    patience: int | None = None,
    steps: int = 100,
    tolerance: float = 1e-9,
    search: Any = None,
    report: Callable[[int, float], Any] | None = None,
    on_state: Callable[[SearchState, float, float | None], bool] | None = None,
) -> Fit:
    """The parameters with which a model fits records best.

        min_{θ, s} ½ Σ_k |W (y_k − ŷ_k(θ, s))|²

    for a `Simulation`; min −log-likelihood for a `Prediction`. Each prior adds a term
    ½ ((θ − mean) / sd)².

    Args:
        objective: `Simulation`, `Prediction`, or `Truncated` of either; or any `Objective`.
        start: the parameters to start from, any pytree of floats.
        experiments: one `Experiment` or several, of any lengths.
        parameters: constraints and priors by dotted name (see `parameter_layout`): bounds,
            signs, ties, priors.
        states: the initial state, for all experiments or a list with one for each; None
            for a model whose ``init`` takes nothing.
        free_states: whether the initial states are estimated too, each experiment's own; by
            default those of a simulation are, and the prior of a filter is not.
        state_kinds: constraints and priors of the initial states, as ``parameters`` has them:
            by dotted name in the state, or "state" where it has no parts.
        solver: None takes the method of Levenberg and Marquardt with a forward-mode Jacobian
            for a sum of squares, Newton's for a likelihood, and L-BFGS for a likelihood of
            more than 100 unknowns. `GaussNewton()` suits many parameters. Any transformation
            of optax (``optax.adam(schedule)``, ``optax.chain(…)``, ``optax.lbfgs()``) is
            gradient descent, of each leaf in units of its largest number at the start: rates
            and clipping count in those. Or any `Solver`. Keep the object: another one of the
            same kind is compiled anew.
        validation: experiments that are not fitted: the result are the parameters with the
            smallest error on them, each output in units of its spread. Their initial states
            are given by ``states``: the one of all, or those at the end of a list.
        patience: evaluations without a new best, by validation if there is any, after
            which the search stops; by default 20 with validation, and never without.
        steps: evaluations at most; passes over the records for `Truncated`.
        tolerance: the search ends when the loss falls by less than this share of it; of a
            likelihood whose curvature is known, by less than this in whole units.
        search: a `Fit` to go on from, or its ``search``; bit for bit as if it had not
            stopped. The start, the constraints, states and records are those of its beginning.
        report: called after each evaluation with its number and the loss.
        on_state: called after each evaluation with the whole state of the search, which
            `save` writes and ``search`` goes on from, its loss, and the loss on the
            validation experiments or None; where it returns true, the search ends as if its
            steps had run out.

    Returns:
        A `Fit`.

    Raises:
        TooFewSamples: there are fewer samples than unknowns, and no validation.
        DivergenceError: the model is not finite at the start.
        ValueError: a name, a constraint, a size or a sample is wrong, a solver does not suit
            the objective, or a search is of another problem. The other two are of this type.

    Reference: L. Ljung, *System Identification*, 2nd ed., Prentice Hall 1999, chapters 7
    and 10.

    >>> from sim import Stepper, rollout
    >>> from sim.fit import Simulation
    >>> def model(p):   # s' = a s + b u
    ...     return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s + p["b"] * u,))
    >>> u = jnp.asarray(np.random.default_rng(0).normal(size=50))
    >>> y = rollout(model({"a": 0.8, "b": 0.5}).step, jnp.asarray(0.0), u)[1]
    >>> found = fit(Simulation(model), {"a": 0.1, "b": 1.0}, Experiment(u, y[:, None]), states=1.0)
    >>> round(float(found.params["a"]), 6), round(float(found.params["b"]), 6)
    (0.8, 0.5)
    """
    solver = choose_solver(objective, solver)
    training_states, validation_states = split_states(states, validation)
    problem, z = build_problem(
        whole_objective(objective),
        start,
        experiments,
        parameters,
        training_states,
        free_states,
        state_kinds,
        validation is not None,
    )
    if validation is not None:
        validation = build_validation_problem(problem, validation, validation_states)
    patience = patience_or_default(patience, validation)
    if search is None:
        search = start_search(solver, problem, validation, z, 0)
    else:
        search = search.search if isinstance(search, Fit) else search
        _check_resumable(search, solver, problem, validation, z)
    problem = problem.with_weights(search.weights)
    losses = [float(solver.loss(search.search))]
    validation_losses = [float(monitored_loss(solver, search.search, problem, validation))]
    rounds = MAX_REWEIGHTINGS if _needs_reweighting(problem) else 0
    message = None
    while True:
        search, steps = run_search(
            partial(_advance, solver, problem, validation, tolerance),
            search,
            losses,
            validation_losses,
            is_running=partial(is_running, patience=patience),
            steps=steps,
            report=report,
            on_state=on_state,
        )
        state, best = search.search, search.best
        if int(best.steps_since) >= patience:
            message = _early_stop_message(state, validation, patience)
            break
        if int(state.status) == SEARCHING or search.round >= rounds:
            break
        weights = 1 / noise(problem, best.z)
        if np.allclose(problem.weights / weights, 1, rtol=0, atol=WEIGHTS_SETTLED):
            break
        problem = problem.with_weights(weights)
        search = start_search(solver, problem, validation, best.z, search.round + 1)
        counts = {"steps": state.steps, "non_finite": state.non_finite}
        search = search._replace(search=search.search._replace(**counts))
    validation_losses = None if validation is None else validation_losses
    return build_fit(problem, search, losses, validation_losses, message)


def start_search(
    solver: Solver, problem: Problem, validation: Problem | None, z, round: int
) -> SearchState:
    """The state of a search that begins at z.

    Raises:
        ValueError: the model, or its slope, is not finite there.
    """
    state = solver.init(problem, z)
    if not np.isfinite(float(solver.loss(state))):
        raise divergence_error(
            problem,
            z,
            "start: expected parameters with which the model stays finite "
            "over the records, got a run that diverges",
        )
    slope = state.grad if state.linearisation is None else state.linearisation.R
    if slope is not None and not np.isfinite(np.asarray(slope)).all():
        raise ValueError(
            "start: expected a model that can be differentiated there, got a slope "
            "that is not finite"
        )
    best = Best(z, monitored_loss(solver, state, problem, validation), jnp.asarray(0))
    return SearchState(state, problem.weights, round, best, fingerprint(problem, validation))


def _advance(solver, problem, validation, tolerance, search: SearchState, running):
    """The search one evaluation further, its loss, and its loss on the validation experiments."""
    state = solver.step(problem, search.search, tolerance)
    value = monitored_loss(solver, state, problem, validation)
    search = search._replace(search=state, best=jit_update_best(search.best, state.z, value))
    return search, float(solver.loss(state)), None if validation is None else float(value)


def _check_resumable(search, solver, problem, validation, z) -> None:
    """Raise ValueError unless it is a search on this problem by this solver."""
    if not isinstance(search, SearchState):
        raise ValueError(
            f"search: expected the search of a Fit, as found.search, got {type(search).__name__}"
        )
    check_fingerprint(search.fingerprint, fingerprint(problem, validation))
    check_same_state(search.search, jax.eval_shape(solver.init, problem, z))


def _needs_reweighting(problem: Problem) -> bool:
    """Whether the noise of an output, known only after a search, decides what it counts against
    other outputs, priors, or the bend of a robust loss."""
    objective = problem.objective
    alone = len(problem.weights) == 1 and not problem.prior_count and not objective.robust
    return not (alone or objective.is_likelihood)


def _early_stop_message(state, validation, patience):
    what = "the loss" if validation is None else "the loss on the validation experiments"
    after = steps_phrase(state, patience)
    return f"stopped early: {what} had no new best for {after}; the best is kept"
