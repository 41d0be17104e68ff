"""From experiments and declared parameters to one function of a vector."""

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.experiment import checked, spread
from sim.fit.objectives import likelihood
from sim.fit.parameters import declare, held, unit
from sim.fit.problem import Problem, States


def assembled(objective, start, experiments, parameters=None, states=None, free_states=None):
    """A `Problem`, and z at the start; the arguments are those of `fit`."""
    if not hasattr(objective, "errors"):
        raise ValueError("objective: expected Simulation, Prediction or Truncated of either, "
                         f"got {type(objective).__name__}")  # fmt: skip
    declared, theta = declare(start, parameters)
    experiments = checked(experiments)
    given = _states(states, len(experiments))
    leaves, tree = jax.tree.flatten(given[0])
    if free_states is None:
        free_states = not likelihood(objective)
    free = free_states and bool(leaves)
    kept = States(tree, tuple(np.shape(leaf) for leaf in leaves), free)
    size = [unit(declared, theta)]
    if free:
        size += [_size(given, theta.dtype)] * len(given)
    size = np.concatenate(size)
    order, problem = _problem(objective, start, size, declared, kept, experiments, given)
    z = [theta]
    if free:
        z += [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(given[i])]) for i in order]
    z = jnp.asarray(np.concatenate(z).astype(theta.dtype) / size)
    if problem.samples + problem.known < len(z):
        and_priors = f" and {problem.known} priors" if problem.known else ""
        raise ValueError(
            "experiments: expected more samples than unknowns, got "
            f"{problem.samples} samples{and_priors} for "
            f"{sum(declared.sizes)} parameters and {len(z) - sum(declared.sizes)} initial states"
        )
    return problem, z


def beside(problem: Problem, experiments, states) -> Problem:
    """The same parameters on other experiments, their initial states as given.

    Raises:
        ValueError: other outputs, or other states, than those of the problem.
    """
    experiments = checked(experiments)
    outputs = len(problem.weights)
    if experiments[0].y.shape[1] != outputs:
        raise ValueError(
            f"validation: expected {outputs} outputs as the experiments have, "
            f"got {experiments[0].y.shape[1]}"
        )
    given = _states(states, len(experiments))
    kept = problem.states._replace(free=False)
    found = _problem(problem.objective, problem.start, problem.unit, problem.declared, kept,
                     experiments, given)[1]  # fmt: skip
    return found.weighted(problem.weights)


def _problem(objective, start, size, declared, kept, experiments, given):
    dtype = size.dtype
    order, groups, stacked = _grouped(experiments, given, dtype)
    weights = jnp.asarray(1 / spread(experiments), dtype)
    start = jax.tree.map(lambda leaf: held(leaf, dtype), start)
    alone = tuple(None for _ in groups)
    return order, Problem(groups, stacked, start, jnp.asarray(size), weights, None, alone, objective,
                          declared, kept, tuple(order))  # fmt: skip


def _size(given, dtype):
    """The size (m,) of the numbers of a state: the largest of its leaf over all, or 1."""
    largest = [
        np.full(np.size(same[0]), max(np.max(np.abs(leaf), initial=0.0) for leaf in same), dtype)
        for same in zip(*(jax.tree.leaves(state) for state in given), strict=True)
    ]
    found = np.concatenate(largest)
    # What is not finite is said by the run that begins there.
    return np.where((found > 0) & np.isfinite(found), found, 1).astype(dtype)


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
