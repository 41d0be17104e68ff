"""A model of `sim.models`, and a network added to its vector field, as a model again."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import Partial

from experiments.models import same_pytrees
from sim import rnn, rollout


class Hybrid(NamedTuple):
    """Parameters: of the model, as its field has them, and of `sim.rnn.mlp`."""

    physics: Any
    net: Any


def add_network(model: Any, net: Any, scaling: Any) -> Any:
    """ẏ = f(t, y, u) + N(y, u): the model with the parameters `Hybrid`.

    Args:
        model: a `sim.models.Model`.
        net: of `zero_network`.
        scaling: of `scaling_from_runs`.
    """
    field, single = model.field, len(model.field.args) == 1
    both = Hybrid(field.args[0] if single else field.args, net)
    output = model.output
    if output is not None and same_pytrees(output.args, field.args):
        output = Partial(partial(_hybrid_output, output.func, single), both, **output.keywords)
    field = Partial(
        partial(_hybrid_field, field.func, single), both, scaling=scaling, own=field.keywords
    )
    return model._replace(field=field, output=output)


def _hybrid_field(func, single, both, t, y, u=None, *, scaling, own):
    physics = (both.physics,) if single else both.physics
    known = Partial(func, *physics, **own)
    return rnn.corrected_field(known, rnn.correction(both.net, scaling))(t, y, u)


def _hybrid_output(func, single, both, *now, **keywords):
    return func(*((both.physics,) if single else both.physics), *now, **keywords)


def zero_network(key: jax.Array, scaling: Any, hidden: tuple[int, ...]) -> Any:
    """A network that begins as zero."""
    states = len(scaling.y_mean)
    return rnn.mlp_params(key, (states + len(scaling.u_mean), *hidden, states), gain=0.0)


def scaling_from_runs(
    model: Any, objective: Any, params: Any, states: list, experiments: list, us: list
) -> Any:
    """What makes numbers near 1 along the runs of the model alone, a `sim.rnn.StateScaling`.

    Args:
        model: a `sim.models.Model`.
        objective, params: of it, as `experiments.identification.objective` describes it.
        states, experiments: each with its initial state.
        us: inputs (N + 1, inputs) of each.

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
        now = None if not u.shape[1] else u[1:, 0] if u.shape[1] == 1 else u[1:]
        rates = jax.vmap(lambda y, u: model.field(0.0, y, u))(ys, now)
        parts.append((ys, now, rates))
    return rnn.state_scaling(*jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts))
