"""From experiments and constraints on parameters to one function of a vector."""

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.parameters.constraints import Free
from sim.fit.parameters.layout import parameter_layout
from sim.fit.parameters.vector import as_constant, typical_scale
from sim.fit.problem.errors import TooFewSamples
from sim.fit.problem.objectives import check_objective
from sim.fit.problem.problem import InitialStates, Problem
from sim.messages import join_names
from sim.records.experiment import Experiment, output_scale, validate_experiments


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

    Args:
        validated: whether validation experiments stop the search; then the unknowns may be
            more than the samples.

    Raises:
        TooFewSamples: the unknowns are more than the samples and priors.
        ValueError: an argument of `fit` is wrong.
    """
    check_objective(objective)
    layout, theta = parameter_layout(start, parameters)
    experiments = validate_experiments(experiments)
    given = _list_states(states, len(experiments))
    if free_states is None:
        free_states = bool(state_kinds) or not objective.is_likelihood
    if state_kinds and not (free_states and jax.tree.leaves(given[0])):
        raise ValueError(
            "state_kinds: expected none, as no initial state is estimated, got "
            f"{join_names(state_kinds)}"
        )
    state_layouts, state_vectors = zip(
        *(parameter_layout(state, state_kinds, state=True) for state in given), strict=True
    )
    states = InitialStates(state_layouts[0], free_states and sum(state_layouts[0].sizes) > 0)
    if states.free and objective.is_likelihood:
        _check_covariances(states.layout, given[0], state_kinds)
    unit, z = [typical_scale(layout, theta)], [theta]
    if states.free:
        largest = np.max(np.abs(state_vectors), axis=0)
        unit += [typical_scale(states.layout, largest)] * len(given)
    unit = np.concatenate(unit).astype(theta.dtype)
    problem = _stack_problem(objective, start, unit, layout, states, experiments, given)
    if states.free:
        z += [state_vectors[i] for i in problem.order]
    z = jnp.asarray(np.concatenate(z).astype(theta.dtype) / unit)
    if problem.samples + problem.prior_count < len(z) and not validated:
        n = problem.parameter_count
        and_priors = f" and {problem.prior_count} priors" if problem.prior_count else ""
        raise TooFewSamples(
            "experiments: expected more samples than unknowns, got "
            f"{problem.samples} samples{and_priors} for "
            f"{n} parameters and {len(z) - n} initial states"
        )
    return problem, z


def _check_covariances(layout, given, state_kinds):
    """Raise ValueError where a search could make the covariance of a prior indefinite."""
    rows = zip(layout.names, layout.kinds, jax.tree.leaves(given), strict=True)
    for name, kind, leaf in rows:
        leaf = np.asarray(leaf)
        square = leaf.ndim == 2 and leaf.shape[0] == leaf.shape[1] and np.array_equal(leaf, leaf.T)
        if square and isinstance(kind, Free) and name not in (state_kinds or {}):
            raise ValueError(
                f"state_kinds: expected a kind for {name}, the covariance of what is known of "
                f"the initial state, such as {{'{name}': 'fixed'}}, got none"
            )


def build_validation_problem(problem: Problem, experiments, states) -> Problem:
    """The same parameters on other experiments, whose initial states are as given. Its loss is
    that of the errors alone, without priors.

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
    given = _list_states(states, len(experiments))
    fixed = problem.states._replace(free=False)
    layout = problem.layout._replace(priors=(None,) * len(problem.layout.priors))
    validation = _stack_problem(
        problem.objective, problem.start, problem.unit, layout, fixed, experiments, given
    )
    return validation.with_weights(problem.weights)


def split_states(states, validation):
    """The initial states of the experiments, and those of the validation experiments."""
    if not isinstance(states, list) or validation is None:
        return states, states
    count = 1 if isinstance(validation, Experiment) else len(validation)
    return states[:-count], states[-count:]


def _stack_problem(objective, start, unit, layout, states, experiments, given) -> Problem:
    dtype = unit.dtype
    order, groups, initial_states = _group_experiments(experiments, given, dtype)
    weights = jnp.asarray(1 / output_scale(experiments), dtype)
    return Problem(
        groups=groups,
        initial_states=initial_states,
        start=jax.tree.map(lambda leaf: as_constant(leaf, dtype), start),
        unit=jnp.asarray(unit),
        weights=weights,
        join=None,
        joined=(None,) * len(groups),
        objective=objective,
        layout=layout,
        states=states,
        order=tuple(order),
    )


def _list_states(states, count) -> list:
    """One initial state for each experiment, of one structure.

    Raises:
        ValueError: their number or their structure is wrong.
    """
    if not isinstance(states, list):
        states = [states] * count
    if len(states) != count:
        raise ValueError(f"states: expected one for each of {count} experiments, got {len(states)}")
    shapes = {(jax.tree.structure(s), tuple(map(np.shape, jax.tree.leaves(s)))) for s in states}
    if len(shapes) > 1:
        raise ValueError("states: expected states of one structure and shape, got several")
    return states


def _group_experiments(experiments, given, dtype):
    """Experiments of one length and shape side by side: their order, records and states."""
    indices_by_shape = {}
    for i, e in enumerate(experiments):
        leaves, tree = jax.tree.flatten(e)
        shape = tree, tuple(np.shape(leaf) for leaf in leaves)
        indices_by_shape.setdefault(shape, []).append(i)

    def stack_leaves(*leaves):
        if jnp.issubdtype(getattr(leaves[0], "dtype", float), jax.dtypes.extended):
            return jnp.stack(leaves)  # keys of random numbers
        # By NumPy: JAX would compile each operation for every shape.
        stacked = np.stack([np.asarray(leaf) for leaf in leaves])
        return jnp.asarray(stacked, dtype if jnp.issubdtype(stacked.dtype, jnp.inexact) else None)

    def stack(trees):
        return jax.tree.map(stack_leaves, *trees)

    members = list(indices_by_shape.values())
    groups = tuple(stack([experiments[i] for i in indices]) for indices in members)
    floats = [jax.tree.map(lambda leaf: np.asarray(leaf, dtype), s) for s in given]
    initial_states = tuple(stack([floats[i] for i in indices]) for indices in members)
    return [i for indices in members for i in indices], groups, initial_states
