"""From records to parameters: `fit`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.check import positive
from sim.fit import descent, gauss_newton, newton, windows
from sim.fit import least_squares as lm
from sim.fit.adam import adam
from sim.fit.assemble import assembled, beside
from sim.fit.continued import check_continues, marked
from sim.fit.experiment import Experiment, alike
from sim.fit.found import Best, Fit, Progress, concluded, counted, noise
from sim.fit.gauss_newton import GaussNewton
from sim.fit.losses import forwards, loss
from sim.fit.objectives import likelihood
from sim.fit.problem import Problem, diverging, evaluated

# Rounds in which outputs are weighted by their own noise, at most: mostly the second settles
# it to this share, but beside a prior that is far off it falls by and by.
REWEIGHTED, SETTLED = 30, 0.01


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
    method = chosen(objective, solver)
    objective = getattr(objective, "objective", objective)
    own, others = parted(states, validation)
    problem, z = assembled(
        objective,
        start,
        experiments,
        parameters,
        own,
        free_states,
        state_kinds,
        validation is not None,
    )
    watched = None if validation is None else beside(problem, validation, others)
    if patience is None:
        patience = np.inf if watched is None else 20
    else:
        patience = positive("patience", patience)
    if search is None:
        search = begun(method, problem, watched, z, 0)
    else:
        search = search.search if isinstance(search, Fit) else search
        check_continues(search, problem, watched, method.begin, z)
    problem = problem.weighted(search.weights)
    losses = [float(method.loss(search.search))]
    seen = None if watched is None else [float(_watch(method, search.search, problem, watched))]
    # Outputs, and priors, count by how well the model explains them: known only afterwards.
    alone = len(problem.weights) == 1 and not problem.known and not problem.robust
    rounds = 0 if alone or likelihood(objective) else REWEIGHTED
    while True:
        inner, best = search.search, search.best
        while _going(inner, best, steps, patience):
            inner = method.advance(problem, inner, tolerance)
            value = _watch(method, inner, problem, watched)
            best = _bettered(best, inner.z, value)
            losses.append(float(method.loss(inner)))
            if seen is not None:
                seen.append(float(value))
            if report is not None:
                report(int(inner.steps), losses[-1])
        search = search._replace(search=inner, best=best)
        if int(best.waited) >= patience:
            return concluded(problem, search, losses, seen, _stopped(inner, watched, patience))
        if int(inner.status) == lm.SEARCHING or search.round >= rounds:
            return concluded(problem, search, losses, seen)
        weights = 1 / noise(problem, best.z)
        if np.allclose(problem.weights / weights, 1, rtol=0, atol=SETTLED):
            return concluded(problem, search, losses, seen)
        problem = problem.weighted(weights)
        again = begun(method, problem, watched, best.z, search.round + 1)
        kept = again.search._replace(steps=inner.steps, bad=inner.bad)
        search = again._replace(search=kept)


class Method(NamedTuple):
    """A way to search: ``begin(problem, z)``, ``advance(problem, search, tolerance)``, and
    ``loss(search)``."""

    begin: Callable
    advance: Callable
    loss: Callable


def chosen(objective, solver) -> Method:
    """The way to search for an objective by a solver.

    Raises:
        ValueError: the solver is none, or does not suit the objective.
    """
    truncated = isinstance(objective, windows.Truncated)
    squares = not (truncated or likelihood(objective))
    if solver is None and squares:
        return Method(_begun, advanced, lambda search: search.at.loss)
    if isinstance(solver, GaussNewton):
        if not squares:
            raise ValueError(
                "solver: GaussNewton() takes a Simulation over whole records, "
                f"got {type(objective).__name__}"
            )
        begin, advance = gauss_newton.begun, gauss_newton.advanced
        return Method(partial(begin, solver), partial(forwards, partial(advance, solver)), _loss)
    if solver is None and not truncated:
        return Method(newton.begun, newton.advanced, newton.value)
    solver = adam() if solver is None else solver
    if not (hasattr(solver, "init") and hasattr(solver, "update")):
        raise ValueError(
            f"solver: expected None, GaussNewton() or a transformation of optax, got {solver!r}"
        )
    if truncated:
        advance = partial(windows.advanced, solver, objective.window, objective.batch)

        def begin(problem, z):
            shaped = jax.tree.map(lambda leaf: np.broadcast_to(0, leaf.shape), problem.groups)
            alike(problem.ordered(shaped))
            return windows.begun(solver, objective.seed, problem, z)

        return Method(begin, advance, _loss)
    return Method(partial(descent.begun, solver), partial(descent.advanced, solver), _loss)


def _loss(search):
    return search.loss


def _begun(problem, z):
    return _first(z, evaluated(problem, z))


@jax.jit
def _step(search):
    return lm.proposed(search)


_first, _judged = jax.jit(lm.begun), jax.jit(lm.judged)


def advanced(problem: Problem, search: lm.Search, tolerance: float) -> lm.Search:
    """The search by Levenberg and Marquardt one evaluation further."""
    z = _step(search)
    return _judged(search, z, evaluated(problem, z), jnp.asarray(tolerance, z.dtype))


def begun(method: Method, problem: Problem, watched, z, round: int) -> Progress:
    """A search that begins at z.

    Raises:
        ValueError: the model, or its slope, is not finite there.
    """
    inner = method.begin(problem, z)
    if not np.isfinite(float(method.loss(inner))):
        raise diverging(
            problem,
            z,
            "start: expected parameters with which the model stays finite "
            "over the records, got a run that diverges",
        )
    slope = inner.at.R if hasattr(inner, "at") else getattr(inner, "grad", 0.0)
    if not np.isfinite(np.asarray(slope)).all():
        raise ValueError(
            "start: expected a model that can be differentiated there, got a slope "
            "that is not finite"
        )
    value = _watch(method, inner, problem, watched)
    best = Best(z, value, jnp.asarray(0))
    return Progress(inner, problem.weights, round, best, marked(problem, watched))


def _watch(method, inner, problem, watched):
    """What decides which place is best: the loss on the validation experiments, if there are
    any. Their outputs keep their weights, so that it can be compared between rounds."""
    if watched is None:
        return method.loss(inner)
    parameters = inner.z[: sum(problem.declared.sizes)]
    return loss(watched, parameters)


@jax.jit
def _bettered(best: Best, z, value) -> Best:
    better = value < best.loss
    return Best(
        jnp.where(better, z, best.z),
        jnp.where(better, value, best.loss),
        jnp.where(better, 0, best.waited + 1),
    )


def _going(inner, best, steps, patience):
    searching = int(inner.steps) < steps and int(inner.status) == lm.SEARCHING
    return searching and int(best.waited) < patience


def _stopped(inner, watched, patience):
    what = "the loss" if watched is None else "the loss on the validation experiments"
    return f"stopped early: {what} had no new best for {counted(inner, patience)}; the best is kept"


def parted(states, validation):
    """The initial states of the experiments, and those of the validation experiments."""
    if not isinstance(states, list) or validation is None:
        return states, states
    count = 1 if isinstance(validation, Experiment) else len(validation)
    return states[:-count], states[-count:]
