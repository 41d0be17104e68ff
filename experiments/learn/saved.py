"""A trained network as a file, and back from it as a stepper."""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from experiments.cli.pieces import Pieces, build_piece
from experiments.cli.targets import with_current_targets
from experiments.identification.prepared import Prepared
from experiments.learn import hybrid
from sim import Stepper, repeat, rnn


def save_network(path: Path, prepared: Prepared, members: Sequence[Any]) -> None:
    """Write the parameters of the members that count, their scaling, and the stepper's pieces.

    The first axis of every array is that of the members, if there are several.
    """
    config = prepared.config
    description = {
        "network": config.groups["network"],
        "model": config.groups.get("model"),
        "integrator": config.groups.get("integrator"),
        "substeps": config.substeps,
        "dt": prepared.dt,
        "inputs": prepared.data.inputs,
        "outputs": prepared.data.outputs,
        "members": len(members),
        "title": prepared.title,
    }
    params = [params for params, _ in members]
    params = params[0] if len(params) == 1 else jax.tree.map(lambda *x: jnp.stack(x), *params)
    rnn.save(path, params, scaling=prepared.setup.scaling, config=description)


def load_network(path: str | os.PathLike, *, allow: Iterable[str] = ()) -> Stepper:
    """The stepper of a ``network.nc`` that ``task=learn`` has written.

    A network takes inputs (…, inputs) and emits outputs (…, outputs), in the units of the
    record. A model with a network takes what the model's integrator takes, and emits the
    state. The outputs of several members are averaged.

    Args:
        path: the file.
        allow: packages of yours whose functions may build its pieces.

    Raises:
        ValueError: the arrays do not suit the network that the file describes.
        OSError: the file cannot be read.
    """
    saved = rnn.load(path)
    description, scaling = with_current_targets(saved.config), saved.scaling
    pieces = Pieces(description, tuple(allow))
    if description["model"]:
        init_params, stepper = _hybrid_builders(pieces, description, scaling)
    else:
        init_params, stepper = _network_builders(pieces, description, scaling)
    count = description["members"]
    axis = (count,) if count > 1 else ()
    dtype = next(iter(saved.params.values())).dtype
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(axis + leaf.shape, dtype),
        jax.eval_shape(init_params, jax.random.key(0)),
    )
    params = rnn.load(path, expected).params
    if count == 1:
        return stepper(params)
    return Stepper(
        Partial(partial(_init_members, stepper), params),
        Partial(partial(_step_members, stepper), params),
    )


def _network_builders(pieces, description, scaling):
    """A function of a key that makes parameters, and the stepper as a function of them."""
    network = build_piece(pieces, "network")
    sizes = len(description["inputs"]), len(description["outputs"])
    return (
        lambda key: network.start(key, *sizes, None),
        lambda params: rnn.scaled(network.stepper(params), scaling),
    )


def _hybrid_builders(pieces, description, scaling):
    """As `_network_builders`, of a model with a network."""
    network, model = build_piece(pieces, "network"), build_piece(pieces, "model")
    substeps = description["substeps"]

    def field(key):
        net = hybrid.zero_network(key, scaling, network.hidden)
        return hybrid.add_network(model, net, scaling).field

    template = field(jax.random.key(0))

    def stepper(params):
        vector_field = Partial(template.func, params, **template.keywords)
        given = {"f": vector_field, "dt": description["dt"] / substeps}
        one = build_piece(pieces, "integrator", given=given)
        return one if substeps == 1 else one._replace(step=repeat(one.step, substeps))

    return lambda key: field(key).args[0], stepper


def _init_members(stepper, params, *given):
    return jax.vmap(lambda p: stepper(p).init(*given))(params)


def _step_members(stepper, params, carry, x):
    carry, ys = jax.vmap(lambda p, c: stepper(p).step(c, x))(params, carry)
    return carry, jax.tree.map(lambda y: y.mean(axis=0), ys)
