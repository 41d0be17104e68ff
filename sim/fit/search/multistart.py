"""Many starts side by side in one compiled batch; the worst are dropped early."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats.qmc import LatinHypercube

from sim.check import positive
from sim.fit.parameters.constraints import Bounded, Positive, PositiveDefinite
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.errors import divergence_error
from sim.fit.problem.fingerprint import fingerprint
from sim.fit.problem.linearisation import Linearisation
from sim.fit.problem.objectives import Objective
from sim.fit.problem.quadratic_model import quadratic_model
from sim.fit.result import Best, Fit, SearchState
from sim.fit.search.fit import fit, start_search
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.choose import choose_solver
from sim.fit.solvers.status import SEARCHING, STUCK
from sim.records.experiment import Experiment

# Losses that differ by less than this share are of one minimum; log-likelihoods, by this.
SAME_LOSS, SAME_LOGLIK = 1e-4, 1e-2


class Multistart(NamedTuple):
    """The result of `multistart`.

    Attributes:
        best: the fit of the best start.
        starts: (S, n), the z with which each began.
        losses: (S,), the smallest loss of each; infinite if it diverged.
        fates: (S,), "best minimum", "other minimum", "dropped" or "diverged".
        message: how many ended in which way.
    """

    best: Fit
    starts: np.ndarray
    losses: np.ndarray
    fates: tuple[str, ...]
    message: str


def multistart(
    objective,
    start: Any,
    experiments: Experiment | Sequence[Experiment],
    starts: int | Any = 64,
    *,
    parameters: Mapping[str, Any] | None = None,
    states: Any = None,
    state_kinds: Mapping[str, Any] | None = None,
    batch: int = 16,
    first: int = 8,
    keep: float = 0.25,
    width: float = 1.0,
    steps: int = 100,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> Multistart:
    """The best of many local minima, from starts spread over the parameters.

    All starts take ``first`` evaluations by the method of Levenberg and Marquardt, a batch
    of them at a time; the share ``keep`` of them with the smallest losses takes as many
    again, and so on until one batch holds those left. These go on until they converge, and
    from the best of all `fit` goes on. Of a likelihood the curvature stands for JᵀJ, see
    `quadratic_model`.

    Args:
        objective, start, experiments, parameters, states, state_kinds, steps, tolerance: as
            `fit` takes them; the initial states begin the same in all starts.
        starts: how many, drawn by a Latin hypercube: parameters with two bounds over their
            range, those with one within a factor of exp(``width``) of the start's distance
            from it, others within ``width`` times their size. Or the starts themselves, a
            pytree as ``start`` with a leading axis.
        batch: how many run side by side.
        first: evaluations before some are dropped.
        keep: the share that is kept each time.
        width: how far the starts lie around the start.
        seed: of the draw.

    Raises:
        ValueError: as `fit` does; or every start diverges.

    Reference: K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and
    hyperparameter optimization", AISTATS 2016, for halving.

    >>> from sim import Stepper
    >>> from sim.fit import Simulation
    >>> def model(p):   # a clock: s' = s + 1, of which sin(w s) is seen
    ...     return Stepper(jnp.asarray, lambda s, _: 2 * (s + 1,))
    >>> def observe(p, y, u):
    ...     return jnp.sin(p["w"] * y)[None]
    >>> y = jnp.sin(0.8 * jnp.arange(1.0, 41.0))[:, None]
    >>> found = multistart(Simulation(model, observe), {"w": 2.0}, Experiment(None, y), 16,
    ...                    parameters={"w": (0.1, 3.0)}, states=0.0)
    >>> round(float(found.best.params["w"]), 6)
    0.8
    """
    if not isinstance(objective, Objective):
        raise ValueError(
            "objective: expected a Simulation or a Prediction, over whole records, "
            f"got {type(objective).__name__}"
        )
    if not 0 < keep < 1:
        raise ValueError(f"keep: expected a share between 0 and 1, got {keep}")
    batch, first = positive("batch", batch), positive("first", first)
    problem, z = build_problem(
        objective, start, experiments, parameters, states, state_kinds=state_kinds
    )
    zs = _draw_starts(problem, z, starts, width, seed)
    searches, alive = _blank_states(zs), np.arange(len(zs))
    fresh, last = True, False
    while not last:
        last = len(alive) <= batch
        count = steps if last else first
        for members in np.split(alive, range(batch, len(alive), batch)):
            after = _run_batch(problem, searches, members, batch, fresh, count, tolerance)
            _write_back(searches, members, after)
        fresh = False
        if not last:
            alive = alive[searches.status[alive] == SEARCHING]
            alive = alive[np.argsort(searches.linearisation.loss[alive], kind="stable")]
            alive = alive[: max(batch, int(keep * len(alive)))]
    losses = searches.linearisation.loss
    outcomes = _outcomes(problem, searches, alive)
    winner = jax.tree.map(lambda leaf: jnp.asarray(leaf[np.argmin(losses)]), searches)
    if objective.is_likelihood:
        search = start_search(choose_solver(objective, None), problem, None, winner.z, 0)
    else:
        best = Best(winner.z, winner.linearisation.loss, jnp.asarray(0))
        search = SearchState(winner, problem.weights, 0, best, fingerprint(problem))
    best_fit = fit(
        objective,
        start,
        experiments,
        parameters=parameters,
        states=states,
        state_kinds=state_kinds,
        steps=steps,
        tolerance=tolerance,
        search=search,
    )
    message = f"{_count_outcomes(outcomes)}; the best {best_fit.message}"
    return Multistart(best_fit, zs, losses, outcomes, message)


def _draw_starts(problem, z, starts, width, seed):
    """z of all starts, (S, n)."""
    layout, z, n = problem.layout, np.asarray(z), problem.parameter_count
    if isinstance(starts, int) and not isinstance(starts, bool):
        uniform = LatinHypercube(n, rng=seed).random(positive("starts", starts))
        theta, first = np.empty_like(uniform), 0
        for kind, size in zip(layout.kinds, layout.sizes, strict=True):
            columns = slice(first, first + size)
            u = uniform[:, columns]
            if isinstance(kind, Bounded) and np.isfinite(kind.span):
                theta[:, columns] = np.log(u / (1 - u))
            else:
                logarithmic = isinstance(kind, Positive | Bounded | PositiveDefinite)
                unit = 1.0 if logarithmic else np.max(np.abs(z[columns]), initial=0.0)
                theta[:, columns] = z[columns] + width * (unit or 1.0) * (2 * u - 1)
            first += size
    else:
        theta = _given_starts(layout, starts) / np.asarray(problem.unit[:n])
    states = np.tile(z[n:], (len(theta), 1))
    return np.concatenate([theta, states], axis=1).astype(z.dtype)


def _given_starts(layout, starts):
    """The numbers of given parameters, (S, n).

    Raises:
        ValueError: another structure, no leading axis, or a value that its constraint forbids.
    """
    leaves, tree = jax.tree.flatten(starts)
    if tree != layout.tree:
        raise ValueError(
            f"starts: expected a number, or the parameters of the start with a "
            f"leading axis, got {starts!r}"
        )
    counts = {len(leaf) if np.ndim(leaf) else 0 for leaf in leaves}
    if len(counts) > 1 or 0 in counts:
        raise ValueError(f"starts: expected one leading axis, got {sorted(counts)} rows")
    rows = []
    for i in range(counts.pop()):
        row = []
        for name, kind, leaf in zip(layout.names, layout.kinds, leaves, strict=True):
            try:
                row.append(np.asarray(kind.free(np.asarray(leaf[i], float)), float))
            except ValueError as error:
                raise ValueError(f"starts[{i}]: {name}: {error}") from None
        rows.append(np.concatenate(row))
    return np.stack(rows)


def _blank_states(zs) -> lm.State:
    """States (S, …) of searches that have evaluated nothing."""
    count, n = zs.shape
    linearisation = Linearisation(
        np.full(count, np.inf, zs.dtype), np.zeros((count, n, n), zs.dtype), np.zeros_like(zs)
    )
    damping, zero = np.zeros(count, zs.dtype), np.zeros(count, jnp.result_type(int))
    counts = (zero.copy() for _ in range(4))
    return lm.State(zs.copy(), linearisation, np.zeros_like(zs), damping, *counts)


def _run_batch(problem, states, members, batch, fresh, evaluations, tolerance) -> lm.State:
    """The states of some searches after so many evaluations. The batch always has one width."""
    rows = np.concatenate([members, np.repeat(members[:1], batch - len(members))])
    group = jax.tree.map(lambda leaf: leaf[rows], states)
    tolerance = jnp.asarray(tolerance, group.z.dtype)
    for _ in range(evaluations):
        group, fresh = _advance_batch(problem, group, jnp.asarray(fresh), tolerance), False
        if not (np.asarray(group.status) == SEARCHING).any():
            break
    return group


@jax.jit
def _advance_batch(problem, states, fresh, tolerance):
    """A batch of searches one evaluation further: the first one if they are fresh."""

    def advance_one(state):
        z = jnp.where(fresh, state.z, lm.propose(state))
        model = quadratic_model(problem, z)
        finite = jnp.isfinite(model.loss) & jnp.isfinite(model.R).all()
        model = model._replace(loss=jnp.where(finite, model.loss, jnp.inf))
        new = lm.init(z, model)
        status = jnp.where(finite, SEARCHING, STUCK)
        new = new._replace(status=status.astype(new.status.dtype))
        after = lm.accept_or_reject(state, z, model, tolerance)
        done = state.status != SEARCHING
        after = jax.tree.map(lambda a, b: jnp.where(done, a, b), state, after)
        return jax.tree.map(lambda a, b: jnp.where(fresh, a, b), new, after)

    return jax.vmap(advance_one)(states)


def _write_back(states, members, group):
    """Overwrite the states of some searches by those of a batch."""

    def put(leaf, rows):
        leaf[members] = np.asarray(rows)[: len(members)]

    jax.tree.map(put, states, group)


def _outcomes(problem, states, alive) -> tuple[str, ...]:
    """How each search ended.

    Raises:
        ValueError: all of them diverged.
    """
    losses = states.linearisation.loss
    if not np.isfinite(losses).any():
        raise divergence_error(
            problem,
            states.z[0],
            "starts: expected one from which the model stays "
            f"finite over the records, got {len(losses)} that diverge",
        )
    best = losses.min()
    if problem.objective.is_likelihood:
        near = max(SAME_LOGLIK, 64 * np.finfo(losses.dtype).eps * abs(best))
    else:  # equal to a share of themselves, or of that of no model at all
        near = SAME_LOSS * best + SAME_LOSS**2 * problem.samples
    same = losses <= best + near
    finished = (states.status != SEARCHING) | np.isin(np.arange(len(losses)), alive)
    outcomes = np.where(same, "best minimum", np.where(finished, "other minimum", "dropped"))
    return tuple(np.where(np.isfinite(losses), outcomes, "diverged").tolist())


def _count_outcomes(outcomes):
    return (
        f"{len(outcomes)} starts: {outcomes.count('best minimum')} ended in the best minimum, "
        f"{outcomes.count('other minimum')} in another, {outcomes.count('dropped')} were dropped, "
        f"{outcomes.count('diverged')} diverged"
    )
