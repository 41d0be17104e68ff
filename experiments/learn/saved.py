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
from experiments.learn import hybrid
from sim import Stepper, repeat, rnn


def save_network(path: Path, task: Any, members: Sequence[Any]) -> None:
    """Write the parameters of the members that count, their scaling, and how to make the stepper.

    Of several members, the first axis of every array is theirs.
    """
    config = task.config
    about = {
        "network": config.groups["network"],
        "model": config.groups.get("model"),
        "integrator": config.groups.get("integrator"),
        "substeps": config.substeps,
        "dt": task.dt,
        "inputs": task.inputs,
        "outputs": task.outputs,
        "members": len(members),
        "title": task.title,
    }
    params = [params for params, _ in members]
    params = params[0] if len(params) == 1 else jax.tree.map(lambda *x: jnp.stack(x), *params)
    rnn.save(path, params, scaling=task.scaling, config=about)


def load_network(path: str | os.PathLike, *, allow: Iterable[str] = ()) -> Stepper:
    """The stepper of a ``network.nc`` that `task=learn` has written.

    A network takes inputs (…, inputs) and emits outputs (…, outputs), in the units of the
    record. Physics with a network takes what the model's integrator takes, and emits the
    state. Of several members the outputs are their mean.

    Args:
        path: the file.
        allow: packages of yours that it may build pieces of.

    Raises:
        ValueError: it is of another architecture than it says.
        OSError: it cannot be read.
    """
    saved = rnn.load(path)
    saved = saved._replace(config=with_current_targets(saved.config))
    make = _hybrid_builders if saved.config["model"] else _network_builders
    start, stepper = make(saved.config, saved.scaling, tuple(allow))
    like, many = jax.eval_shape(start, jax.random.key(0)), saved.config["members"]
    dtype = next(iter(saved.params.values())).dtype
    lead = (many,) if many > 1 else ()
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(lead + x.shape, dtype), like)
    params = rnn.load(path, like).params
    if many == 1:
        return stepper(params)
    return Stepper(
        Partial(partial(_init_members, stepper), params),
        Partial(partial(_step_members, stepper), params),
    )


def _network_builders(about, scaling, allow):
    """How parameters begin, for their structure, and the stepper of any."""
    network = build_piece(Pieces(about, allow), "network")
    sizes = len(about["inputs"]), len(about["outputs"])
    return lambda key: network.start(key, *sizes, None), lambda p: rnn.scaled(
        network.stepper(p), scaling
    )


def _hybrid_builders(about, scaling, allow):
    pieces = Pieces(about, allow)
    network, model = build_piece(pieces, "network"), build_piece(pieces, "model")

    def field(key):
        return hybrid.add_network(
            model, hybrid.zero_network(key, scaling, network.hidden), scaling
        ).field

    known = field(jax.random.key(0))

    def stepper(p):
        f = Partial(known.func, p, **known.keywords)
        given = {"f": f, "dt": about["dt"] / about["substeps"]}
        found = build_piece(pieces, "integrator", given=given)
        return (
            found
            if about["substeps"] == 1
            else found._replace(step=repeat(found.step, about["substeps"]))
        )

    return lambda key: field(key).args[0], stepper


def _init_members(stepper, params, *given):
    return jax.vmap(lambda p: stepper(p).init(*given))(params)


def _step_members(stepper, params, carry, x):
    carry, ys = jax.vmap(lambda p, c: stepper(p).step(c, x))(params, carry)
    return carry, jax.tree.map(lambda y: y.mean(axis=0), ys)
