"""From records to parameters: `fit`."""

import time as clock
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit import least_squares as lm
from sim.fit.experiment import Experiment, checked, spread
from sim.fit.parameters import declare
from sim.fit.problem import Problem, States, evaluated, residuals
from sim.fit.uncertainty import Uncertainty, uncertainty


# Rounds in which outputs are weighted by their own noise; the third changes little.
REWEIGHTED = 2


class Progress(NamedTuple):
    """The whole state of a fit: the search, the weights of the outputs, and their round."""

    search: lm.Search
    weights: Any
    round: int


class Fit(NamedTuple):
    """Parameters found, and how.

    Attributes:
        params: the parameters, a pytree as that of the start.
        states: the initial state of each experiment.
        loss: (steps + 1,), half the weighted sum of squared errors; it never grows.
        noise: (outputs,), the standard deviation of the errors, in the units of y.
        uncertainty: how far to trust the parameters.
        message: how the search ended, in words.
        search: the whole state of the search, one pytree: `fit` goes on from it.
        problem: what was searched.
    """

    params: Any
    states: tuple[Any, ...]
    loss: np.ndarray
    noise: np.ndarray
    uncertainty: Uncertainty
    message: str
    search: Any
    problem: Problem


def fit(
    objective,
    start: Any,
    experiments: Experiment | Sequence[Experiment],
    *,
    parameters: Mapping[str, Any] | None = None,
    states: Any = None,
    free_states: bool = True,
    steps: int = 100,
    tolerance: float = 1e-9,
    search: Any = None,
    report: Callable[[int, float], Any] | None = None,
) -> Fit:
    """The parameters with which a model comes nearest to records.

        min_{θ, s} ½ Σ_k |W (y_k − ŷ_k(θ, s))|²

    by the method of Levenberg and Marquardt with a forward-mode Jacobian.

    Args:
        objective: `Simulation(model, observe)`.
        start: the parameters to start from, any pytree of floats.
        experiments: one `Experiment` or several, of any lengths.
        parameters: kinds by dotted name (see `declare`): bounds, signs, ties, priors.
        states: the initial state, for all experiments or a list with one for each; None
            for a model whose ``init`` takes nothing.
        free_states: whether they are estimated too, each experiment's own.
        steps: evaluations at most.
        tolerance: a relative fall of the loss that is too small to go on for.
        search: the ``search`` of a `Fit` that is to go on; bit for bit as if it had not
            stopped.
        report: called after each evaluation with its number and the loss.

    Returns:
        A `Fit`.

    Raises:
        ValueError: a name, a kind, a size or a sample is wrong, there are fewer samples
            than unknowns, or the model is not finite at the start.

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
    problem, z = assembled(objective, start, experiments, parameters, states, free_states)
    if search is None:
        at = evaluated(problem, z)
        _check_start(at)
        search = Progress(lm.begun(z, at), problem.weights, 0)
    problem = problem.weighted(search.weights)
    losses = [float(search.search.at.loss)]
    # Outputs, and priors, count by how well the model explains them: known only afterwards.
    rounds = REWEIGHTED if len(problem.weights) > 1 or any(problem.declared.priors) else 0
    while True:
        inner = search.search
        while int(inner.steps) < steps and int(inner.status) == lm.SEARCHING:
            inner = advanced(problem, inner, tolerance)
            losses.append(float(inner.at.loss))
            if report is not None:
                report(int(inner.steps), losses[-1])
        search = search._replace(search=inner)
        if int(inner.status) == lm.SEARCHING or search.round >= rounds:
            return concluded(problem, search, losses)
        problem = problem.weighted(1 / noise(problem, inner.z))
        again = lm.begun(inner.z, evaluated(problem, inner.z))
        again = again._replace(steps=inner.steps, bad=inner.bad)
        search = Progress(again, problem.weights, search.round + 1)


def assembled(objective, start, experiments, parameters=None, states=None, free_states=True):
    """A `Problem`, and z at the start."""
    experiments = checked(experiments)
    declared, theta = declare(start, parameters)
    given = _states(states, len(experiments))
    leaves, tree = jax.tree.flatten(given[0])
    free = free_states and bool(leaves)
    kept = States(tree, tuple(np.shape(leaf) for leaf in leaves), free)
    order, groups, stacked = _grouped(experiments, given, theta.dtype)
    weights = jnp.asarray(1 / spread(experiments), theta.dtype)
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf, theta.dtype), start)
    problem = Problem(groups, stacked, start, weights, None, tuple(None for _ in groups),
                      objective, declared, kept, tuple(order))  # fmt: skip
    z = [theta]
    if free:
        z += [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(given[i])]) for i in order]
    z = jnp.asarray(np.concatenate(z), theta.dtype)
    samples = sum(int(np.isfinite(np.asarray(e.y)).sum()) for e in experiments)
    if samples < len(z):
        raise ValueError(
            f"experiments: expected more samples than unknowns, got {samples} samples for "
            f"{sum(declared.sizes)} parameters and {len(z) - sum(declared.sizes)} initial states"
        )
    return problem, z


@jax.jit
def _step(search):
    return lm.proposed(search)


_judged = jax.jit(lm.judged)


def advanced(problem: Problem, search: lm.Search, tolerance: float) -> lm.Search:
    """The search one evaluation further."""
    z = _step(search)
    return _judged(search, z, evaluated(problem, z), jnp.asarray(tolerance, z.dtype))


def noise(problem: Problem, z) -> Any:
    """The standard deviation of the errors of each output, (outputs,)."""
    squares, count = 0.0, 0
    for errors, (_, e) in zip(residuals(problem, z), problem.each(z)[1], strict=True):
        seen = np.isfinite(np.asarray(e.y)).sum(axis=0)
        seen = seen if e.y0 is None else seen + np.isfinite(np.asarray(e.y0))
        squares, count = squares + np.sum(np.asarray(errors) ** 2, axis=0), count + seen
    free = np.maximum(count * (1 - len(z) / max(count.sum(), len(z) + 1)), 1)
    sd = np.sqrt(squares / free)
    # A perfect output leaves no noise to count by.
    return jnp.asarray(np.maximum(sd, 1e-12 / np.asarray(problem.weights)), z.dtype)


def concluded(problem: Problem, progress: Progress, losses: Sequence[float]) -> Fit:
    """What a search has found."""
    search = progress.search
    params, each = problem.each(search.z)
    sd = noise(problem, search.z)
    words = {
        lm.SEARCHING: f"stopped after {int(search.steps)} evaluations, before it converged",
        lm.CONVERGED: f"converged after {int(search.steps)} evaluations",
        lm.STUCK: f"no step lowers the loss, after {int(search.steps)} evaluations",
    }[int(search.status)]
    if int(search.bad):
        words += f"; the model diverged at {int(search.bad)} places tried, which it left"
    found = uncertainty(problem, search.z, search.at)
    return Fit(jax.tree.map(np.asarray, params), tuple(x0 for x0, _ in each), np.asarray(losses),
               np.asarray(sd), found, words, progress, problem)  # fmt: skip


def _check_start(at):
    if not np.isfinite(float(at.loss)):
        raise ValueError("start: expected parameters with which the model stays finite over the "
                         "records, got a run that diverges")  # fmt: skip
    if not np.isfinite(np.asarray(at.R)).all():
        raise ValueError("start: expected a model that can be differentiated there, got a slope "
                         "that is not finite")  # fmt: skip


def _states(states, count):
    if not isinstance(states, list):
        states = [states] * count
    if len(states) != count:
        raise ValueError(f"states: expected one for each of {count} experiments, got {len(states)}")
    kinds = {jax.tree.structure(s) for s in states}
    if len(kinds) > 1:
        raise ValueError("states: expected states of one structure, got several")
    return states


def _grouped(experiments, given, dtype):
    """Experiments of one length and shape side by side."""
    alike = {}
    for i, e in enumerate(experiments):
        leaves, tree = jax.tree.flatten(e)
        alike.setdefault((tree, tuple(np.shape(leaf) for leaf in leaves)), []).append(i)

    def cast(leaf):
        leaf = jnp.asarray(leaf)
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf

    def stack(trees):
        return jax.tree.map(lambda *leaves: jnp.stack([cast(leaf) for leaf in leaves]), *trees)

    order = [i for members in alike.values() for i in members]
    groups = tuple(stack([experiments[i] for i in members]) for members in alike.values())
    floats = [jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), s) for s in given]
    stacked = tuple(stack([floats[i] for i in members]) for members in alike.values())
    return order, groups, stacked
