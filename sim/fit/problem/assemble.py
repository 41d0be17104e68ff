"""From experiments and declared parameters to one function of a vector."""

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.parameters.constraints import Free
from sim.fit.parameters.vector import as_constant, parameter_layout, typical_scale
from sim.fit.problem.errors import TooFewSamples
from sim.fit.problem.objectives import is_likelihood
from sim.fit.problem.problem import Problem, States
from sim.messages import join_names
from sim.records.experiment import output_scale, validate_experiments


def build_problem(
    objective,
    start,
    experiments,
    parameters=None,
    states=None,
    free_states=None,
    state_kinds=None,
    validated=False,
):
    """A `Problem`, and z at the start; the arguments are those of `fit`.

    More unknowns than samples are for searches that validation stops.
    """
    if not hasattr(objective, "errors"):
        raise ValueError(
            "objective: expected Simulation, Prediction or Truncated of either, "
            f"got {type(objective).__name__}"
        )
    declared, theta = parameter_layout(start, parameters)
    experiments = validate_experiments(experiments)
    given = _check_states(states, len(experiments))
    if free_states is None:
        free_states = bool(state_kinds) or not is_likelihood(objective)
    if state_kinds and not (free_states and jax.tree.leaves(given[0])):
        raise ValueError(
            "state_kinds: expected none, as no initial state is estimated, got "
            f"{join_names(state_kinds)}"
        )
    begun = [parameter_layout(state, state_kinds, state=True) for state in given]
    kept = States(begun[0][0], free_states and sum(begun[0][0].sizes) > 0)
    if kept.free and is_likelihood(objective):
        _check_covariances(kept.declared, given[0], state_kinds)
    size, z = [typical_scale(declared, theta)], [theta]
    if kept.free:
        largest = np.max(np.abs([own for _, own in begun]), axis=0)
        size += [typical_scale(kept.declared, largest)] * len(given)
    size = np.concatenate(size).astype(theta.dtype)
    order, problem = _stack_problem(objective, start, size, declared, kept, experiments, given)
    if kept.free:
        z += [begun[i][1] for i in order]
    z = jnp.asarray(np.concatenate(z).astype(theta.dtype) / size)
    if problem.samples + problem.known < len(z) and not validated:
        and_priors = f" and {problem.known} priors" if problem.known else ""
        raise TooFewSamples(
            "experiments: expected more samples than unknowns, got "
            f"{problem.samples} samples{and_priors} for "
            f"{sum(declared.sizes)} parameters and {len(z) - sum(declared.sizes)} initial states"
        )
    return problem, z


def _check_covariances(declared, given, state_kinds):
    """Raise where a prior's covariance would be searched without its sign."""
    rows = zip(declared.names, declared.kinds, jax.tree.leaves(given), strict=True)
    for name, kind, leaf in rows:
        leaf = np.asarray(leaf)
        square = leaf.ndim == 2 and leaf.shape[0] == leaf.shape[1] and np.array_equal(leaf, leaf.T)
        if square and isinstance(kind, Free) and name not in (state_kinds or {}):
            raise ValueError(
                f"state_kinds: expected a kind for {name}, the covariance of what is known of "
                f"the initial state, such as {{'{name}': 'fixed'}}, got none"
            )


def validation_problem(problem: Problem, experiments, states) -> Problem:
    """The same parameters on other experiments, their initial states as given: what they
    miss there counts, and no prior does.

    Raises:
        ValueError: other outputs, or other states, than those of the problem.
    """
    experiments = validate_experiments(experiments)
    outputs = len(problem.weights)
    if experiments[0].y.shape[1] != outputs:
        raise ValueError(
            f"validation: expected {outputs} outputs as the experiments have, "
            f"got {experiments[0].y.shape[1]}"
        )
    given = _check_states(states, len(experiments))
    kept = problem.states._replace(free=False)
    declared = problem.declared._replace(priors=(None,) * len(problem.declared.priors))
    found = _stack_problem(
        problem.objective, problem.start, problem.unit, declared, kept, experiments, given
    )[1]
    return found.weighted(problem.weights)


def _stack_problem(objective, start, size, declared, kept, experiments, given):
    dtype = size.dtype
    order, groups, stacked = _group_experiments(experiments, given, dtype)
    weights = jnp.asarray(1 / output_scale(experiments), dtype)
    start = jax.tree.map(lambda leaf: as_constant(leaf, dtype), start)
    alone = tuple(None for _ in groups)
    return order, Problem(
        groups,
        stacked,
        start,
        jnp.asarray(size),
        weights,
        None,
        alone,
        objective,
        declared,
        kept,
        tuple(order),
    )


def _check_states(states, count):
    if not isinstance(states, list):
        states = [states] * count
    if len(states) != count:
        raise ValueError(f"states: expected one for each of {count} experiments, got {len(states)}")
    kinds = {(jax.tree.structure(s), tuple(map(np.shape, jax.tree.leaves(s)))) for s in states}
    if len(kinds) > 1:
        raise ValueError("states: expected states of one structure and shape, got several")
    return states


def _group_experiments(experiments, given, dtype):
    """Experiments of one length and shape side by side."""
    alike = {}
    for i, e in enumerate(experiments):
        leaves, tree = jax.tree.flatten(e)
        alike.setdefault((tree, tuple(np.shape(leaf) for leaf in leaves)), []).append(i)

    def side_by_side(*leaves):
        if jnp.issubdtype(
            getattr(leaves[0], "dtype", float), jax.dtypes.extended
        ):  # keys of random numbers
            return jnp.stack(leaves)
        # By NumPy: of JAX each operation would compile, for every shape.
        found = np.stack([np.asarray(leaf) for leaf in leaves])
        return jnp.asarray(found, dtype if jnp.issubdtype(found.dtype, jnp.inexact) else None)

    def stack(trees):
        return jax.tree.map(side_by_side, *trees)

    order = [i for members in alike.values() for i in members]
    groups = tuple(stack([experiments[i] for i in members]) for members in alike.values())
    floats = [jax.tree.map(lambda leaf: np.asarray(leaf, dtype), s) for s in given]
    stacked = tuple(stack([floats[i] for i in members]) for members in alike.values())
    return order, groups, stacked
