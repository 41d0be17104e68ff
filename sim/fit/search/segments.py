"""Records cut into segments, each with an initial state of its own, for multiple shooting."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim import rollout
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.problem import Problem
from sim.records.experiment import Experiment


class Segments(NamedTuple):
    """The problem of all segments.

    Attributes:
        problem: each segment is one of its experiments, joined to the next one.
        z: (n,), where a search begins.
        first: for each of the user's experiments, the segment with which it begins.
    """

    problem: Problem
    z: jax.Array
    first: list[int]


def build_segments(whole: Problem, z, start, parameters, segments, between) -> Segments:
    """Cut the experiments of a problem; the other arguments are those of `shoot`.

    Raises:
        ValueError: a wrong number of segments, or of states ``between``.
    """
    p, experiments = whole.per_experiment(z)
    longest = max(len(e.y) for _, e in experiments)
    if isinstance(segments, bool) or not isinstance(segments, int) or not 0 < segments <= longest:
        raise ValueError(
            f"segments: expected an integer from 1 to the {longest} steps of the "
            f"longest experiment, got {segments!r}"
        )
    length = -(-longest // segments)
    between = between if isinstance(between, list) else [between] * len(experiments)
    if len(between) != len(experiments):
        raise ValueError(
            f"between: expected states for each of {len(experiments)} experiments, "
            f"got {len(between)}"
        )
    records, states, first = [], [], []
    for (x0, e), between_of_one in zip(experiments, between, strict=True):
        pieces = _split_record(e, length)
        first.append(len(records))
        records += [jax.tree.map(lambda leaf, i=i: leaf[i], pieces) for i in range(len(pieces.y))]
        states += _start_states(whole.objective, p, x0, e, pieces, between_of_one)
    problem, z = build_problem(whole.objective, start, records, parameters, states)
    count = len(records)
    continued = np.array([i + 1 not in first and i + 1 < count for i in range(count)])
    sizes = np.cumsum([len(group.y) for group in problem.groups])[:-1]
    joined = tuple(map(jnp.asarray, np.split(continued[list(problem.order)], sizes)))
    return Segments(replace(problem, weights=whole.weights, joined=joined), z, first)


def _split_record(e: Experiment, length: int) -> Experiment:
    """Segments of one length along a new first axis. The last one is filled up with steps at
    its end in which nothing is observed."""
    steps = len(e.y)
    count = -(-steps // length)
    lack = count * length - steps

    def split(leaf, **fill):
        rest = [(0, 0)] * (leaf.ndim - 1)
        return jnp.pad(leaf, [(0, lack), *rest], **fill).reshape(count, length, *leaf.shape[1:])

    y0 = e.y0
    if y0 is not None:
        # The output where segments meet belongs to the end of the one before.
        y0 = jnp.full((count, *y0.shape), jnp.nan, y0.dtype).at[0].set(y0)
    xs = jax.tree.map(partial(split, mode="edge"), e.xs)
    return Experiment(xs, split(e.y, constant_values=jnp.nan), y0)


def _start_states(objective, p, x0, e: Experiment, pieces: Experiment, between) -> list:
    """The states in which a search begins the segments of an experiment."""
    count, length = pieces.y.shape[:2]
    if between is None:
        states = _states_of_free_run(objective, p, x0, pieces)
        finite = np.logical_and.reduce(
            [
                np.isfinite(np.asarray(leaf)).reshape(count, -1).all(axis=1)
                for leaf in jax.tree.leaves(states)
            ]
        )
        return [
            jax.tree.map(lambda leaf, k=k: leaf[k], states) if finite[k] else x0
            for k in range(count)
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
    last_seen = np.maximum.accumulate(np.where(np.isfinite(y), np.arange(len(y))[:, None], 0))
    y = np.take_along_axis(y, last_seen, axis=0)
    return [x0, *(between(y[k]) for k in before)]


@partial(jax.jit, static_argnums=0)
def _states_of_free_run(objective, p, x0, pieces: Experiment):
    """The states in which segments begin, each at the end of the one before."""

    def run_segment(x0, e):
        return objective.errors(p, x0, e)[1], x0

    return rollout(run_segment, x0, pieces)[1]


def state_scale(problem: Problem, z):
    """The unit of each number of a state, (m,): its spread over the segments, or its size."""
    s = np.concatenate([np.asarray(states) for states in problem.split_vector(z)[1]])
    sd, size = s.std(axis=0), np.abs(s).max(axis=0)
    scale = np.where(sd > 1e-6 * size, sd, size)
    return jnp.asarray(np.where(scale > 0, scale, 1), z.dtype)


@jax.jit
def state_gaps(problem: Problem, z):
    """From the end of each segment to the start of the next, (E, m) for each group."""
    theta, states = problem.split_vector(z)
    p, gaps = problem.parameters(theta), []
    rows = zip(problem.groups, problem.initial_states, problem.joined, states, strict=True)
    for group, given, joined, s in rows:

        def end_of_one(s, e, given):
            x = problem.objective.errors(p, problem.states.unpack(s, given), e)[1]
            return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(x)])

        gap = jax.vmap(end_of_one)(s, group, given) - jnp.roll(s, -1, axis=0)
        gaps.append(jnp.where(joined[:, None], gap, 0))
    return gaps


def largest_gap(problem: Problem, z, scale) -> float:
    """The widest gap, in units of the states' scale (m,)."""
    return max(float(jnp.max(jnp.abs(gap / scale[None]))) for gap in state_gaps(problem, z))


def join_segments(whole: Problem, problem: Problem, z, first: list[int]):
    """z of the uncut experiments, whose states are those of the segments they begin with."""
    segments = problem.per_experiment(z)[1]
    starts = [
        jnp.ravel(leaf) for i in whole.order for leaf in jax.tree.leaves(segments[first[i]][0])
    ]
    theta = problem.split_vector(z)[0]
    return jnp.concatenate([theta, jnp.concatenate(starts) / whole.unit[len(theta) :]])
