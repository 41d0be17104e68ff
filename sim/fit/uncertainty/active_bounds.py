"""Parameters and initial states that a bound holds: the loss would fall further beyond it."""

import jax
import numpy as np

from sim.fit.parameters.constraints import Bounded
from sim.fit.parameters.vector import index_suffix, state_name

# A parameter is held by a bound that is nearer than this share of the span, or of the start's
# distance from an only bound, where the way there would change the outputs by less than this
# share of their noise.
NEAR_BOUND, SMALL_EFFECT = 5e-4, 0.1


def at_active_bound(problem, z, R=None, loss=0.0) -> np.ndarray:
    """Which numbers of z (n,) bounds hold.

    Args:
        problem, z: the problem, and its minimum.
        R, loss: what `parabola` knows there; without it whatever is near a bound is held.
    """
    found = np.zeros(len(z), bool)
    for j, _ in _near_bounds(problem, z):
        found[j] = True
    if R is not None:
        count = max(problem.samples + problem.prior_count - problem.unknowns, 1)
        sd = 1.0 if problem.objective.is_likelihood else np.sqrt(2 * float(loss) / count)
        # Of z a step of about 1 takes all of the way that is left.
        found &= np.linalg.norm(np.asarray(R, float), axis=0) <= SMALL_EFFECT * sd
    return found


def active_bound_messages(problem, z, which) -> tuple[str, ...]:
    """That a bound holds them, for ``which`` (n,) of z."""
    return tuple(said for j, said in _near_bounds(problem, z) if which[j])


def _near_bounds(problem, z):
    """(j, words) of each z_j near a bound."""
    params, each = problem.per_experiment(z)
    yield from _leaf_bounds(problem.layout, params, problem.start, 0)
    at, order = problem.parameter_count, iter(problem.order)
    for group, given in zip(problem.groups, problem.initial_states, strict=True):
        for k in range(len(group.y) if problem.states.free else 0):
            i, own = next(order), jax.tree.map(lambda leaf, k=k: leaf[k], given)
            yield from _leaf_bounds(problem.states.layout, each[i][0], own, at, i)
            at += problem.states.size


def _leaf_bounds(declared, values, start, at, i=None):
    leaves = (jax.tree.leaves(tree) for tree in (values, start))
    rows = zip(declared.names, declared.kinds, declared.sizes, *leaves, strict=True)
    for name, kind, size, leaf, begun in rows:
        for bound in (kind.lower, kind.upper) if isinstance(kind, Bounded) else ():
            span = kind.span if np.isfinite(kind.span) else np.abs(np.asarray(begun) - bound)
            near = np.asarray(np.abs(np.asarray(leaf) - bound) < NEAR_BOUND * span)
            for k in np.argwhere(near):
                full = name + index_suffix(tuple(map(int, k)))
                full = full if i is None else state_name(declared, i, full)
                place = int(np.ravel_multi_index(tuple(k), near.shape)) if near.ndim else 0
                yield at + place, f"{full} is held by its bound {bound:g}"
        at += size
