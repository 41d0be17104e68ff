"""Active bounds: parameters and initial states at a bound, beyond which the loss would fall."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from sim.fit.parameters.constraints import Bounded
from sim.fit.parameters.names import index_suffix, state_name
from sim.fit.result import ActiveBound

# A bound is active where the parameter is nearer to it than this share of the span (of the start's
# distance from it, where it is the only one), and where going all the way to it would change the
# outputs by less than this share of their noise.
NEAR_BOUND, SMALL_EFFECT = 5e-4, 0.1


class NearBound(NamedTuple):
    """A number of z near a bound: its index in z, and the bound."""

    index: int
    bound: ActiveBound


def at_active_bound(problem, z, R=None, loss=0.0) -> np.ndarray:
    """Whether a bound holds each number of z, (n,).

    Args:
        problem, z: the problem and its minimum.
        R, loss: of the `Linearisation` there; without them, every bound that is near is active.
    """
    mask = np.zeros(len(z), bool)
    for near in _near_bounds(problem, z):
        mask[near.index] = True
    if R is not None:
        count = max(problem.samples + problem.prior_count - problem.unknowns, 1)
        sd = 1.0 if problem.objective.is_likelihood else np.sqrt(2 * float(loss) / count)
        # A step of about 1 in z goes all the way that is left to the bound.
        mask &= np.linalg.norm(np.asarray(R, float), axis=0) <= SMALL_EFFECT * sd
    return mask


def list_active_bounds(problem, z, mask) -> tuple[ActiveBound, ...]:
    """The bounds of the numbers of z that are chosen by ``mask`` (n,)."""
    return tuple(near.bound for near in _near_bounds(problem, z) if mask[near.index])


def _near_bounds(problem, z) -> Iterator[NearBound]:
    params, experiments = problem.per_experiment(z)
    yield from _near_bounds_of_tree(problem.layout, params, problem.start, 0)
    first, order = problem.parameter_count, iter(problem.order)
    for group, given in zip(problem.groups, problem.initial_states, strict=True):
        for k in range(len(group.y) if problem.states.free else 0):
            i, start = next(order), jax.tree.map(lambda leaf, k=k: leaf[k], given)
            state = experiments[i][0]
            yield from _near_bounds_of_tree(problem.states.layout, state, start, first, i)
            first += problem.states.size


def _near_bounds_of_tree(layout, values, start, first, experiment=None) -> Iterator[NearBound]:
    """Of parameters, or of an experiment's initial state, whose numbers begin at z[first]."""
    leaves = (jax.tree.leaves(tree) for tree in (values, start))
    rows = zip(layout.names, layout.kinds, layout.sizes, *leaves, strict=True)
    for leaf_name, kind, size, value, start_value in rows:
        for bound in (kind.lower, kind.upper) if isinstance(kind, Bounded) else ():
            distance = np.abs(np.asarray(start_value) - bound)
            span = kind.span if np.isfinite(kind.span) else distance
            near = np.asarray(np.abs(np.asarray(value) - bound) < NEAR_BOUND * span)
            for k in np.argwhere(near):
                name = leaf_name + index_suffix(tuple(map(int, k)))
                if experiment is not None:
                    name = state_name(layout.tree, experiment, name)
                offset = int(np.ravel_multi_index(tuple(k), near.shape)) if near.ndim else 0
                yield NearBound(first + offset, ActiveBound(name, bound))
        first += size
