"""A model of `sim.models` with a network added to its vector field."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import Partial

from experiments.models import same_pytrees
from sim import rnn, rollout


class Hybrid(NamedTuple):
    """The parameters of the model, as its field takes them, and those of the `sim.rnn.mlp`."""

    physics: Any
    net: Any


def add_network(model: Any, net: Any, scaling: Any) -> Any:
    """The model ẏ = f(t, y, u) + N(y, u), whose parameters are a `Hybrid`.

    Args:
        model: a `sim.models.Model`.
        net: the parameters of N, from `zero_network`.
        scaling: of the inputs and outputs of N, from `scaling_from_runs`.
    """
    field, single = model.field, len(model.field.args) == 1
    both = Hybrid(field.args[0] if single else field.args, net)
    output = model.output
    if output is not None and same_pytrees(output.args, field.args):
        output = Partial(partial(_hybrid_output, output.func, single), both, **output.keywords)
    field = Partial(
        partial(_hybrid_field, field.func, single),
        both,
        scaling=scaling,
        keywords=field.keywords,
    )
    return model._replace(field=field, output=output)


def _hybrid_field(func, single, both, t, y, u=None, *, scaling, keywords):
    physics = (both.physics,) if single else both.physics
    field = Partial(func, *physics, **keywords)
    return rnn.corrected_field(field, rnn.correction(both.net, scaling))(t, y, u)


def _hybrid_output(func, single, both, *time_and_state, **keywords):
    physics = (both.physics,) if single else both.physics
    return func(*physics, *time_and_state, **keywords)


def zero_network(key: jax.Array, scaling: Any, hidden: tuple[int, ...]) -> Any:
    """The parameters of a network whose output is 0 at first."""
    states = len(scaling.y_mean)
    return rnn.mlp_params(key, (states + len(scaling.u_mean), *hidden, states), gain=0.0)


def scaling_from_runs(
    model: Any, objective: Any, params: Any, states: list, experiments: list, us: list
) -> Any:
    """The `sim.rnn.StateScaling` that makes states and rates of the model alone near 1.

    Args:
        model: a `sim.models.Model`.
        objective, params: of the model, see `experiments.identification.objective`.
        states: the initial state of each experiment.
        experiments: which the model runs over.
        us: the inputs (N + 1, inputs) of each.

    Raises:
        ValueError: the model diverges.
    """
    stepper = objective.model(params)
    parts = []
    for x0, e, u in zip(states, experiments, us, strict=True):
        ys = rollout(stepper.step, stepper.init(x0), e.xs, length=len(e.y))[1]
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(ys)):
            raise ValueError(
                "model.params: expected parameters with which the model stays finite over "
                "the records, got a run that diverges"
            )
        inputs = None if not u.shape[1] else u[1:, 0] if u.shape[1] == 1 else u[1:]
        rates = jax.vmap(lambda y, u: model.field(0.0, y, u))(ys, inputs)
        parts.append((ys, inputs, rates))
    return rnn.state_scaling(*jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts))
