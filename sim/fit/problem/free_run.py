"""Outputs of a free run over a record."""

from functools import partial

import jax
import jax.numpy as jnp

from sim.fit.parameters.vector import as_constant
from sim.fit.problem.objectives import check_simulation
from sim.records.experiment import Experiment, float_dtype


def free_run(objective, params, x0, experiment: Experiment):
    """The outputs of a free run, ŷ (N, outputs), after a row for y0 if there is one.

    Args:
        objective: a `Simulation`.
        params: parameters of its model.
        x0: the initial state.
        experiment: the input; of the outputs only the shape is used.

    >>> from sim import Stepper
    >>> from sim.fit import Simulation
    >>> decay = Simulation(lambda p: Stepper(jnp.asarray, lambda s, _: 2 * (p * s,)))
    >>> free_run(decay, 0.5, 8.0, Experiment(None, jnp.zeros((3, 1)))).tolist()
    [[4.0], [2.0], [1.0]]
    """
    check_simulation(objective, "to run freely")
    return _jit_free_run(objective, *cast_floats(params, x0, experiment))


@partial(jax.jit, static_argnums=0)
def _jit_free_run(objective, params, x0, e):
    return run_outputs(objective, params, x0, e)


def run_outputs(objective, params, x0, e: Experiment):
    """As `free_run`, inside a compiled function."""
    simulated = objective.run(params, x0, e)[1]
    if e.y0 is None:
        return simulated
    return jnp.concatenate([objective.first(params, x0, e)[None], simulated])


def cast_floats(params, x0, e):
    """Parameters, state and record with the floats of the parameters."""
    dtype = float_dtype(*(jnp.asarray(leaf).dtype for leaf in jax.tree.leaves(params)))

    def cast(leaf):
        leaf = jnp.asarray(leaf)
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf

    params = jax.tree.map(lambda leaf: as_constant(leaf, dtype), params)
    x0 = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), x0)
    return params, x0, jax.tree.map(cast, e)
