"""From records to parameters: `fit`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.check import positive
from sim.fit.problem.assemble import build_problem, validation_problem
from sim.fit.problem.errors import divergence_error
from sim.fit.problem.fingerprint import check_fingerprint, check_same_state, fingerprint
from sim.fit.problem.losses import loss
from sim.fit.problem.objectives import whole_objective
from sim.fit.problem.problem import Problem
from sim.fit.result import Best, Fit, SearchState
from sim.fit.search.conclude import build_fit, noise, steps_phrase
from sim.fit.solvers.choose import Solver, choose_solver
from sim.fit.solvers.status import SEARCHING
from sim.records.experiment import Experiment

# Rounds in which outputs are weighted by their own noise, at most: mostly the second settles
# it to this share, but beside a prior that is far off it falls by and by.
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
    """The parameters with which a model comes nearest to records.

        min_{θ, s} ½ Σ_k |W (y_k − ŷ_k(θ, s))|²

    for a `Simulation`; min −log-likelihood for a `Prediction`. What is known beforehand adds
    the terms of its priors.

    Args:
        objective: `Simulation`, `Prediction`, or `Truncated` of either.
        start: the parameters to start from, any pytree of floats.
        experiments: one `Experiment` or several, of any lengths.
        parameters: kinds by dotted name (see `declare`): bounds, signs, ties, priors.
        states: the initial state, for all experiments or a list with one for each; None
            for a model whose ``init`` takes nothing.
        free_states: whether they are estimated too, each experiment's own; by default those
            of a simulation are, and the prior of a filter is not.
        state_kinds: kinds of what is estimated of each initial state, as ``parameters``
            declares them: by dotted name in the state, or "state" where it has no parts.
        solver: how to search. None is the method of Levenberg and Marquardt with a
            forward-mode Jacobian for a sum of squares, Newton's for a
            likelihood, and L-BFGS for one of more than 100 unknowns;
            `GaussNewton()` suits many parameters; any transformation of optax
            (``optax.adam(schedule)``, ``optax.chain(…)``, ``optax.lbfgs()``) is descent, of
            each leaf in units of its largest number at the start: rates and clipping count
            in those. Keep the object: another one of the same kind is compiled anew.
        validation: experiments that are not fitted: the parameters are those with the
            smallest error on them, each output in units of its spread. Their initial states are as given by ``states``: the one
            of all, or those at the end of a list.
        patience: evaluations without a new best, by validation if there is any, after
            which the search stops; by default 20 with validation, and never without.
        steps: evaluations at most; passes over the records for `Truncated`.
        tolerance: a relative fall of the loss that is too small to go on for; of a likelihood
            whose curvature is known, in whole units.
        search: a `Fit` that is to go on, or its ``search``; bit for bit as if it had not
            stopped. All that decides its numbers is as it was at the beginning: the start,
            kinds, states and records.
        report: called after each evaluation with its number and the loss.
        on_state: called after each evaluation with the whole state of the search, which
            `save` writes and ``search`` goes on from, its loss, and the loss on the
            validation experiments or None; where it returns true, the search ends as if its
            steps had run out.

    Returns:
        A `Fit`.

    Raises:
        ValueError: a name, a kind, a size or a sample is wrong, there are fewer samples
            than unknowns and no validation, a solver does not suit the objective, the
            model is not finite at the start, or a search is of another problem.

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
    method = choose_solver(objective, solver)
    objective = whole_objective(objective)
    own, others = split_states(states, validation)
    problem, z = build_problem(
        objective,
        start,
        experiments,
        parameters,
        own,
        free_states,
        state_kinds,
        validation is not None,
    )
    watched = None if validation is None else validation_problem(problem, validation, others)
    if patience is None:
        patience = np.inf if watched is None else 20
    else:
        patience = positive("patience", patience)
    if search is None:
        search = start_search(method, problem, watched, z, 0)
    else:
        search = search.search if isinstance(search, Fit) else search
        if not isinstance(search, SearchState):
            raise ValueError(
                "search: expected the search of a Fit, as found.search, got "
                f"{type(search).__name__}"
            )
        check_fingerprint(search.fingerprint, fingerprint(problem, watched))
        check_same_state(search.search, jax.eval_shape(method.begin, problem, z))
    problem = problem.with_weights(search.weights)
    losses = [float(method.loss(search.search))]
    seen = (
        None
        if watched is None
        else [float(_monitored_loss(method, search.search, problem, watched))]
    )
    # Outputs, and priors, count by how well the model explains them: known only afterwards.
    alone = len(problem.weights) == 1 and not problem.prior_count and not problem.objective.robust
    rounds = 0 if alone or objective.is_likelihood else MAX_REWEIGHTINGS
    while True:
        inner, best = search.search, search.best
        while _is_running(inner, best, steps, patience):
            inner = method.advance(problem, inner, tolerance)
            value = _monitored_loss(method, inner, problem, watched)
            best = _update_best(best, inner.z, value)
            losses.append(float(method.loss(inner)))
            if seen is not None:
                seen.append(float(value))
            if report is not None:
                report(int(inner.steps), losses[-1])
            if on_state is not None:
                state = search._replace(search=inner, best=best)
                if on_state(state, losses[-1], None if seen is None else seen[-1]):
                    steps = int(inner.steps)
        search = search._replace(search=inner, best=best)
        if int(best.steps_since) >= patience:
            return build_fit(
                problem, search, losses, seen, _early_stop_message(inner, watched, patience)
            )
        if int(inner.status) == SEARCHING or search.round >= rounds:
            return build_fit(problem, search, losses, seen)
        known = inner.linearisation is not None and np.array_equal(best.z, inner.z)
        weights = 1 / noise(problem, best.z, inner.linearisation if known else None)
        if np.allclose(problem.weights / weights, 1, rtol=0, atol=WEIGHTS_SETTLED):
            return build_fit(problem, search, losses, seen)
        problem = problem.with_weights(weights)
        again = start_search(method, problem, watched, best.z, search.round + 1)
        kept = again.search._replace(steps=inner.steps, non_finite=inner.non_finite)
        search = again._replace(search=kept)


def start_search(method: Solver, problem: Problem, watched, z, round: int) -> SearchState:
    """A search that begins at z.

    Raises:
        ValueError: the model, or its slope, is not finite there.
    """
    inner = method.begin(problem, z)
    if not np.isfinite(float(method.loss(inner))):
        raise divergence_error(
            problem,
            z,
            "start: expected parameters with which the model stays finite "
            "over the records, got a run that diverges",
        )
    slope = inner.grad if inner.linearisation is None else inner.linearisation.R
    if slope is not None and not np.isfinite(np.asarray(slope)).all():
        raise ValueError(
            "start: expected a model that can be differentiated there, got a slope "
            "that is not finite"
        )
    value = _monitored_loss(method, inner, problem, watched)
    best = Best(z, value, jnp.asarray(0))
    return SearchState(inner, problem.weights, round, best, fingerprint(problem, watched))


def _monitored_loss(method, inner, problem, watched):
    """What decides which place is best: the loss on the validation experiments, if there are
    any. Their outputs keep their weights, so that it can be compared between rounds."""
    if watched is None:
        return method.loss(inner)
    parameters = inner.z[: problem.parameter_count]
    return loss(watched, parameters)


@jax.jit
def _update_best(best: Best, z, value) -> Best:
    better = value < best.loss
    return Best(
        jnp.where(better, z, best.z),
        jnp.where(better, value, best.loss),
        jnp.where(better, 0, best.steps_since + 1),
    )


def _is_running(inner, best, steps, patience):
    searching = int(inner.steps) < steps and int(inner.status) == SEARCHING
    return searching and int(best.steps_since) < patience


def _early_stop_message(inner, watched, patience):
    what = "the loss" if watched is None else "the loss on the validation experiments"
    return f"stopped early: {what} had no new best for {steps_phrase(inner, patience)}; the best is kept"


def split_states(states, validation):
    """The initial states of the experiments, and those of the validation experiments."""
    if not isinstance(states, list) or validation is None:
        return states, states
    count = 1 if isinstance(validation, Experiment) else len(validation)
    return states[:-count], states[-count:]
