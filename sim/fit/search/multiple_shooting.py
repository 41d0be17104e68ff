"""Multiple shooting: a record in segments that start afresh, and are drawn together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim import rollout
from sim.fit.parameters.layout import parameter_layout
from sim.fit.parameters.vector import clip_to_start
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.errors import divergence_error
from sim.fit.problem.linearisation import linearise
from sim.fit.problem.objectives import check_simulation
from sim.fit.problem.problem import Problem
from sim.fit.result import Fit, SearchState
from sim.fit.search.conclude import build_fit
from sim.fit.search.fit import fit, start_search
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.choose import choose_solver, step
from sim.fit.solvers.status import SEARCHING
from sim.messages import join_names
from sim.records.experiment import Experiment

# Segments meet where no gap is above this share of a state's spread. Beyond the largest
# weight a triangle has no digits left for the data. All rounds but the last are rough. One
# simulation follows the segments where its loss is not above theirs by more than rounding.
MET, HEAVIEST, ROUGH, FOLLOWS = 1e-6, 1e6, 1e-4, 1.01


def shoot(
    objective,
    start: Any,
    experiments: Experiment | Sequence[Experiment],
    segments: int,
    *,
    states: Any,
    parameters: Mapping[str, Any] | None = None,
    state_kinds: Mapping[str, Any] | None = None,
    weight: float | None = None,
    between: Callable | Any = None,
    steps: int = 200,
    tolerance: float = 1e-9,
    report: Callable[[int, float], Any] | None = None,
) -> Fit:
    """Parameters from records too long, or too chaotic, to be simulated from a wrong start.

        min_{θ, s} ½ Σ_i Σ_k |W (y_ik − ŷ_ik(θ, s_i))|² + ½ Σ_i |w (end_i(θ, s_i) − s_{i+1}) / σ|²

    Over a short segment even a wrong model stays near the record, and the loss has fewer
    valleys. As a penalty, w grows tenfold to what is given; as a constraint, until the
    segments meet, and a last search makes them one simulation from one initial state.

    Args:
        objective, start, experiments, parameters, steps, tolerance, report: as `fit` takes
            them; the ``final`` of the objective gives the state after a segment. A
            stepper's time begins at 0 in every segment: what depends on it enters by xs.
        segments: how many of the longest experiment; others are cut to the same length.
        states: the initial state, for all experiments or a list with one for each.
        state_kinds: as `fit` takes them, with the constraint: they hold for a last search of
            one simulation. Where segments start is free.
        weight: w of a penalty, in errors of one spread of an output for a gap of one spread
            σ of a state; None for the constraint.
        between: where segments start at first. None: from a run with the start's parameters,
            or the initial state where that run is not finite. A function of the outputs
            (outputs,) at that instant, as last seen, to a state. Or measured or smoothed
            states after each step, with the leading axis N, a list of them for several
            experiments.

    Returns:
        A `Fit`. Of the constraint, that of one simulation; where the model is too chaotic
        for one to follow the record, as of a penalty, that of the segments, and the message
        says so. Then too ``states`` are those of the experiments; those of all segments
        are in ``problem.per_experiment(z)``.

    Raises:
        ValueError: as `fit` does; or there is no state, fewer steps than segments, or an
            objective that is no simulation.

    Reference: H. G. Bock, "Recent advances in parameter identification techniques for
    O.D.E.", in *Numerical Treatment of Inverse Problems in Differential and Integral
    Equations*, Birkhäuser 1983.

    >>> from sim import Stepper
    >>> from sim.fit import Simulation
    >>> def model(p):   # s' = a s (1 − s): chaotic
    ...     return Stepper(jnp.asarray, lambda s, _: 2 * (p["a"] * s * (1 - s),))
    >>> y = rollout(model({"a": 3.8}).step, jnp.asarray(0.3), length=24)[1][:, None]
    >>> found = shoot(Simulation(model), {"a": 3.6}, Experiment(None, y), 12, states=0.3,
    ...               between=lambda y: y[0])
    >>> round(float(found.params["a"]), 6)
    3.8
    """
    check_simulation(objective, "to shoot with")
    if weight is not None and not weight > 0:
        raise ValueError(f"weight: expected a number above 0, or None, got {weight}")
    if weight is not None and state_kinds:
        raise ValueError(
            "state_kinds: expected none beside the weight of a penalty, whose segments "
            f"all start freely, got {join_names(state_kinds)}"
        )
    whole, z = build_problem(objective, start, experiments, parameters, states)
    if not whole.states.free:
        raise ValueError("states: expected an initial state to shoot from, got None")
    held = state_kinds and build_problem(
        objective, start, experiments, parameters, states, state_kinds=state_kinds
    )
    begins = z
    problem, z, first = _build_segments(whole, z, start, parameters, segments, between)
    scale, losses, search = _state_scale(problem, z), [], None
    # A heavy weight from the start would hold the search to where the segments meet at once.
    heaviest = weight or HEAVIEST
    w = min(1.0, heaviest)
    while True:
        problem = problem.with_weights(join=w / scale)
        rough = tolerance if w == weight else max(tolerance, ROUGH)
        search = _search_round((whole, begins), problem, z, search, steps, rough, losses, report)
        z, done, gap = search.z, int(search.steps), _largest_gap(problem, search.z, scale)
        if w >= heaviest or done >= steps or (not weight and gap <= MET):
            break
        w = min(10 * w, heaviest)
    words = (
        f"{len(problem.order)} segments meet within {gap:.1g} of the states' spread, weight {w:g}"
    )
    if not weight:
        again = _as_one_simulation(whole, problem, z, first)
        if np.isfinite(float(linearise(whole, again).loss)):

            def single(problem, z, **kinds):
                there = start_search(choose_solver(objective, None), problem, None, z, 0)
                return fit(
                    objective,
                    start,
                    experiments,
                    parameters=parameters,
                    states=states,
                    steps=steps,
                    tolerance=tolerance,
                    search=there,
                    report=report,
                    **kinds,
                )

            found = single(whole, again)
            if float(linearise(whole, found.search.best.z).loss) <= FOLLOWS * losses[-1]:
                if held:
                    z = _apply_constraints(*held, found, state_kinds)
                    found = single(held[0], z, state_kinds=state_kinds)
                message = f"{words}, after {done} evaluations; as one simulation {found.message}"
                return found._replace(message=message)
        words += "; no one simulation follows them, so they stay apart"
        search = _search_round(
            (whole, begins), problem, z, search, done + steps, tolerance, losses, report
        )
    found = build_fit(problem, SearchState(search, problem.weights, 0), losses)
    states = tuple(found.states[i] for i in first)
    return found._replace(states=states, message=f"{words}; {found.message}")


def _search_round(whole, problem, z, before, steps, tolerance, losses, report):
    """The search at the end of a round, after that of the round before; its losses are
    appended. ``whole`` is the uncut problem and its z, to say what is wrong of."""
    at = linearise(problem, z)
    if not np.isfinite(float(at.loss)):
        raise divergence_error(
            *whole,
            "start: expected parameters and states from which all "
            "segments stay finite, got a run that diverges",
        )
    search = lm.init(z, at)
    if before is not None:
        # The joins are the most of the scale, which damping is a share of: it stays the same.
        damping = before.damping * jnp.min(before.scale / search.scale) ** 2
        search = search._replace(steps=before.steps, non_finite=before.non_finite, damping=damping)
    losses.append(float(at.loss))
    while int(search.steps) < steps and int(search.status) == SEARCHING:
        search = step(problem, search, tolerance)
        losses.append(float(search.linearisation.loss))
        if report is not None:
            report(int(search.steps), losses[-1])
    return search


def _build_segments(whole: Problem, z, start, parameters, segments, between):
    """The problem of all segments, its z at the start, and which segment begins each
    experiment."""
    p, each = whole.per_experiment(z)
    longest = max(len(e.y) for _, e in each)
    if isinstance(segments, bool) or not isinstance(segments, int) or not 0 < segments <= longest:
        raise ValueError(
            f"segments: expected an integer from 1 to the {longest} steps of the "
            f"longest experiment, got {segments!r}"
        )
    length = -(-longest // segments)
    given = between if isinstance(between, list) else [between] * len(each)
    if len(given) != len(each):
        raise ValueError(
            f"between: expected states for each of {len(each)} experiments, got {len(given)}"
        )
    cut, states, first = [], [], []
    for (x0, e), own in zip(each, given, strict=True):
        pieces = _cut_segments(e, length)
        first.append(len(cut))
        cut += [jax.tree.map(lambda leaf, i=i: leaf[i], pieces) for i in range(len(pieces.y))]
        states += _segment_starts(whole.objective, p, x0, e, pieces, own)
    problem, z = build_problem(whole.objective, start, cut, parameters, states)
    ahead = np.array([i + 1 not in first and i + 1 < len(cut) for i in range(len(cut))])
    sizes = np.cumsum([len(group.y) for group in problem.groups])[:-1]
    joined = np.split(ahead[list(problem.order)], sizes)
    return replace(problem, weights=whole.weights, joined=tuple(map(jnp.asarray, joined))), z, first


def _cut_segments(e: Experiment, length: int) -> Experiment:
    """Segments of one length along a new first axis; what the last one lacks is filled with
    steps in which nothing is observed, after all that counts."""
    steps = len(e.y)
    count = -(-steps // length)
    lack = count * length - steps

    def cut(leaf, **fill):
        rest = [(0, 0)] * (leaf.ndim - 1)
        return jnp.pad(leaf, [(0, lack), *rest], **fill).reshape(count, length, *leaf.shape[1:])

    y0 = e.y0
    if y0 is not None:
        # What is seen where segments meet belongs to the end of the one before.
        y0 = jnp.full((count, *y0.shape), jnp.nan, y0.dtype).at[0].set(y0)
    xs = jax.tree.map(partial(cut, mode="edge"), e.xs)
    return Experiment(xs, cut(e.y, constant_values=jnp.nan), y0)


def _segment_starts(objective, p, x0, e: Experiment, pieces: Experiment, between):
    """The states in which the segments of an experiment begin at first."""
    count, length = pieces.y.shape[:2]
    if between is None:
        free = _states_of_free_run(objective, p, x0, pieces)
        finite = np.logical_and.reduce(
            [
                np.isfinite(np.asarray(leaf)).reshape(count, -1).all(axis=1)
                for leaf in jax.tree.leaves(free)
            ]
        )
        return [
            jax.tree.map(lambda leaf, k=k: leaf[k], free) if finite[k] else x0 for k in range(count)
        ]
    before = np.arange(1, count) * length - 1
    if not callable(between):
        for leaf in jax.tree.leaves(between):
            if len(leaf) != len(e.y):
                raise ValueError(
                    f"between: expected states after each of {len(e.y)} steps, got {len(leaf)}"
                )
        return [x0, *(jax.tree.map(lambda leaf, k=k: leaf[k], between) for k in before)]
    y = np.asarray(e.y)
    last = np.maximum.accumulate(np.where(np.isfinite(y), np.arange(len(y))[:, None], 0))
    y = np.take_along_axis(y, last, axis=0)
    return [x0, *(between(y[k]) for k in before)]


@partial(jax.jit, static_argnums=0)
def _states_of_free_run(objective, p, x0, pieces: Experiment):
    """The states in which segments begin, each at the end of the one before."""

    def segment(x0, e):
        return objective.errors(p, x0, e)[1], x0

    return rollout(segment, x0, pieces)[1]


def _state_scale(problem: Problem, z):
    """The unit of each number of a state, (m,): its spread over the segments, or its size."""
    s = np.concatenate([np.asarray(states) for states in problem.split_vector(z)[1]])
    sd, size = s.std(axis=0), np.abs(s).max(axis=0)
    unit = np.where(sd > 1e-6 * size, sd, size)
    return jnp.asarray(np.where(unit > 0, unit, 1), z.dtype)


@jax.jit
def _all_gaps(problem: Problem, z):
    """From the end of each segment to the start of the next, (E, m) for each group."""
    theta, states = problem.split_vector(z)
    p, found = problem.parameters(theta), []
    for group, given, joined, s in zip(
        problem.groups, problem.initial_states, problem.joined, states, strict=True
    ):

        def end(s, e, given):
            x = problem.objective.errors(p, problem.states.unpack(s, given), e)[1]
            return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(x)])

        gap = jax.vmap(end)(s, group, given) - jnp.roll(s, -1, axis=0)
        found.append(jnp.where(joined[:, None], gap, 0))
    return found


def _largest_gap(problem: Problem, z, scale) -> float:
    """The widest gap, in units of the states' spread."""
    return max(float(jnp.max(jnp.abs(gap / scale[None]))) for gap in _all_gaps(problem, z))


def _as_one_simulation(whole: Problem, problem: Problem, z, first):
    """z of the uncut experiments, from the segments with which they begin."""
    each = problem.per_experiment(z)[1]
    starts = [jnp.ravel(leaf) for i in whole.order for leaf in jax.tree.leaves(each[first[i]][0])]
    theta = problem.split_vector(z)[0]
    return jnp.concatenate([theta, jnp.concatenate(starts) / whole.unit[len(theta) :]])


def _apply_constraints(held: Problem, start, found: Fit, kinds):
    """z of the same experiments with kinds of states, from a search in which these were free."""
    n, each = held.parameter_count, held.per_experiment(start)[1]
    states = [jnp.zeros(0, start.dtype)]
    for i in held.order if held.states.free else ():
        state = clip_to_start(held.states.layout, found.states[i], each[i][0])
        states.append(jnp.asarray(parameter_layout(state, kinds, state=True)[1], start.dtype))
    return jnp.concatenate([found.search.best.z[:n], jnp.concatenate(states) / held.unit[n:]])
