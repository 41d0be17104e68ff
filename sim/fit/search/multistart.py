"""Many starts side by side in one compiled batch; the worst leave early."""

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
    """What many starts have found.

    Attributes:
        best: the fit of the best start.
        starts: (S, n), where each began, as the vector of a search.
        losses: (S,), the smallest that each has reached; infinite where it diverged.
        fates: (S,), "best minimum", "other minimum", "dropped" or "diverged".
        message: how many met which fate.
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
        starts: how many, drawn by a Latin hypercube: over their bounds the parameters that
            have two, those with one within a factor of e to the power ``width`` of the start's
            distance from it, others within ``width`` times their size. Or the starts themselves, a pytree as
            ``start`` with a leading axis.
        batch: how many run side by side.
        first: evaluations until the first leave.
        keep: share that stays each time.
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
        for some in np.split(alive, range(batch, len(alive), batch)):
            count = steps if last else first
            _write_back(
                searches, some, _run_batch(problem, searches, some, batch, fresh, count, tolerance)
            )
        fresh = False
        if not last:
            alive = alive[searches.status[alive] == SEARCHING]
            alive = alive[np.argsort(searches.linearisation.loss[alive], kind="stable")]
            alive = alive[: max(batch, int(keep * len(alive)))]
    fates = _outcomes(problem, searches, alive)
    winner = jax.tree.map(
        lambda leaf: jnp.asarray(leaf[np.argmin(searches.linearisation.loss)]), searches
    )
    reached = Best(winner.z, winner.linearisation.loss, jnp.asarray(0))
    if objective.is_likelihood:
        progress = start_search(choose_solver(objective, None), problem, None, winner.z, 0)
    else:
        progress = SearchState(winner, problem.weights, 0, reached, fingerprint(problem))
    best = fit(
        objective,
        start,
        experiments,
        parameters=parameters,
        states=states,
        state_kinds=state_kinds,
        steps=steps,
        tolerance=tolerance,
        search=progress,
    )
    message = f"{_count_outcomes(fates)}; the best {best.message}"
    return Multistart(best, zs, searches.linearisation.loss, fates, message)


def _draw_starts(problem, z, starts, width, seed):
    """Where to begin, (S, n)."""
    declared, zs = problem.layout, np.asarray(z)
    n = sum(declared.sizes)
    if isinstance(starts, int) and not isinstance(starts, bool):
        drawn = LatinHypercube(n, rng=seed).random(positive("starts", starts))
        theta, at = np.empty_like(drawn), 0
        for kind, size in zip(declared.kinds, declared.sizes, strict=True):
            own, u = slice(at, at + size), drawn[:, at : at + size]
            if isinstance(kind, Bounded) and np.isfinite(kind.span):
                theta[:, own] = np.log(u / (1 - u))
            else:
                own_unit = isinstance(kind, Positive | Bounded | PositiveDefinite)
                unit = 1.0 if own_unit else np.max(np.abs(zs[own]), initial=0.0)
                theta[:, own] = zs[own] + width * (unit or 1.0) * (2 * u - 1)
            at += size
    else:
        theta = _given_starts(declared, starts) / np.asarray(problem.unit[:n])
    rest = np.tile(zs[n:], (len(theta), 1))
    return np.concatenate([theta, rest], axis=1).astype(zs.dtype)


def _given_starts(declared, starts):
    leaves, tree = jax.tree.flatten(starts)
    if tree != declared.tree:
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
        for name, kind, leaf in zip(declared.names, declared.kinds, leaves, strict=True):
            try:
                row.append(np.asarray(kind.free(np.asarray(leaf[i], float)), float))
            except ValueError as error:
                raise ValueError(f"starts[{i}]: {name}: {error}") from None
        rows.append(np.concatenate(row))
    return np.stack(rows)


def _blank_states(zs) -> lm.State:
    """Searches (S, …) of which nothing is known yet."""
    count, n = zs.shape
    whole = np.zeros(count, jnp.result_type(int))
    at = lm.Linearisation(
        np.full(count, np.inf, zs.dtype), np.zeros((count, n, n), zs.dtype), np.zeros_like(zs)
    )
    damping = np.zeros(count, zs.dtype)
    return lm.State(
        zs.copy(), at, np.zeros_like(zs), damping, whole, whole.copy(), whole.copy(), whole.copy()
    )


def _run_batch(problem, searches, some, batch, fresh, evaluations, tolerance) -> lm.State:
    """Some of the searches further, in a batch of a width that is always the same."""
    rows = np.concatenate([some, np.repeat(some[:1], batch - len(some))])
    group = jax.tree.map(lambda leaf: leaf[rows], searches)
    tolerance = jnp.asarray(tolerance, group.z.dtype)
    for _ in range(evaluations):
        group, fresh = _advance_batch(problem, group, jnp.asarray(fresh), tolerance), False
        if not (np.asarray(group.status) == SEARCHING).any():
            break
    return group


@jax.jit
def _advance_batch(problem, searches, fresh, tolerance):
    """A batch of searches one evaluation further; the first one, where they are fresh."""

    def next_of(search):
        z = jnp.where(fresh, search.z, lm.propose(search))
        found = quadratic_model(problem, z)
        finite = jnp.isfinite(found.loss) & jnp.isfinite(found.R).all()
        found = found._replace(loss=jnp.where(finite, found.loss, jnp.inf))
        new = lm.init(z, found)
        status = jnp.where(finite, SEARCHING, STUCK)
        new = new._replace(status=status.astype(new.status.dtype))
        further = lm.accept_or_reject(search, z, found, tolerance)
        done = search.status != SEARCHING
        further = jax.tree.map(lambda a, b: jnp.where(done, a, b), search, further)
        return jax.tree.map(lambda a, b: jnp.where(fresh, a, b), new, further)

    return jax.vmap(next_of)(searches)


def _write_back(searches, some, group):
    def put(leaf, found):
        leaf[some] = np.asarray(found)[: len(some)]

    jax.tree.map(put, searches, group)


def _outcomes(problem, searches, alive) -> tuple[str, ...]:
    losses = searches.linearisation.loss
    if not np.isfinite(losses).any():
        raise divergence_error(
            problem,
            searches.z[0],
            "starts: expected one from which the model stays "
            f"finite over the records, got {len(losses)} that diverge",
        )
    best = losses.min()
    if problem.objective.is_likelihood:
        near = max(SAME_LOGLIK, 64 * np.finfo(losses.dtype).eps * abs(best))
    else:  # equal to a share of themselves, or of that of no model at all
        near = SAME_LOSS * best + SAME_LOSS**2 * problem.samples
    same = losses <= best + near
    finished = (searches.status != SEARCHING) | np.isin(np.arange(len(losses)), alive)
    fates = np.where(same, "best minimum", np.where(finished, "other minimum", "dropped"))
    return tuple(np.where(np.isfinite(losses), fates, "diverged").tolist())


def _count_outcomes(fates):
    return (
        f"{len(fates)} starts: {fates.count('best minimum')} ended in the best minimum, "
        f"{fates.count('other minimum')} in another, {fates.count('dropped')} were dropped, "
        f"{fates.count('diverged')} diverged"
    )
