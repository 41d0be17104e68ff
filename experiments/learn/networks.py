"""The networks that a configuration can name."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.tree_util import Partial

from sim import Stepper, rnn
from sim.fit import Prior, n4sid


class Cell(NamedTuple):
    """A cell of `sim.rnn`.

    Attributes:
        title: its name in words.
        params: ``params(key, inputs, hidden)``, the parameters to start from.
        stepper: ``stepper(params)``.
    """

    title: str
    params: Callable
    stepper: Callable[[Any], Stepper]


CELLS = {
    "gru": Cell("GRU", rnn.gru_params, rnn.gru),
    "lstm": Cell("LSTM", rnn.lstm_params, rnn.lstm),
    "elman": Cell("Elman network", rnn.elman_params, rnn.elman),
    "minimal_gated": Cell("minimal gated unit", rnn.minimal_gated_params, rnn.minimal_gated),
    "lru": Cell("linear recurrent unit", rnn.lru_params, rnn.lru),
    "diagonal": Cell("diagonal state space", rnn.diagonal_params, rnn.diagonal),
}


class Network(NamedTuple):
    """A network without its numbers; with ``network=own`` you name a function that returns one.

    Attributes:
        name: one word or two.
        start: ``start(key, inputs, outputs, records)``, the parameters to start from. Records
            are pairs u (N, inputs), y (N, outputs) in numbers near 1, or None where only the
            structure of the parameters is needed.
        stepper: ``stepper(params)``; its inputs and outputs are numbers near 1.
        kinds: constraints and priors by dotted name, as `sim.fit.fit` takes them.
        warnings: ``warnings(records)``, texts about records that a start cannot use.
    """

    name: str
    start: Callable
    stepper: Callable[[Any], Stepper]
    kinds: Mapping[str, Any] = {}
    warnings: Callable = lambda records: ()


class Correction(NamedTuple):
    """A network that is added to the vector field of a model.

    Attributes:
        hidden: widths of its hidden layers.
        parameters: constraints of the model's parameters, by name.
        kinds: constraints and priors of the network's parameters, by dotted name.
    """

    hidden: tuple[int, ...]
    parameters: Mapping[str, Any]
    kinds: Mapping[str, Any]


class Recurrent(NamedTuple):
    """Parameters of each layer and of the linear readout: W (hidden, outputs), b (outputs,)."""

    layers: tuple[Any, ...]
    W: Any
    b: Any


class Block(NamedTuple):
    """Parameters of a linear recurrent cell and of the `sim.rnn.mlp` after it."""

    cell: Any
    net: Any


class Blocks(NamedTuple):
    """Parameters of the linear map before the blocks, of each `Block`, and of the readout."""

    entry: Any
    layers: tuple[Block, ...]
    W: Any
    b: Any


def recurrent(
    cell: Literal["gru", "lstm", "elman", "minimal_gated"] = "gru",
    hidden: int = 32,
    layers: int = 1,
    prior: float | None = None,
) -> Network:
    """Layers of a cell of `sim.rnn` with a linear readout.

    Args:
        cell: its name.
        hidden: the width of each layer.
        layers: how many layers.
        prior: the standard deviation of all weights around 0; None means no prior.
    """
    _check_sizes(hidden=hidden, layers=layers)
    _check_prior(prior)
    start = partial(_recurrent_start, cell, hidden, layers)
    kinds = {name: Prior(0.0, prior) for name in ("layers", "W") if prior}
    return Network(CELLS[cell].title, start, partial(_recurrent, cell), kinds)


def _recurrent_start(cell, hidden, layers, key, inputs, outputs, records):
    params = CELLS[cell].params
    last, *keys = jax.random.split(key, layers + 1)
    widths = [inputs] + [hidden] * (layers - 1)
    parts = tuple(params(k, width, hidden) for k, width in zip(keys, widths, strict=True))
    return Recurrent(parts, *rnn.mlp_params(last, (hidden, outputs))[0])


def _recurrent(cell, params):
    stepper = CELLS[cell].stepper
    return rnn.readout(rnn.layers(*map(stepper, params.layers)), params.W, params.b)


def blocks(
    cell: Literal["lru", "diagonal"] = "lru",
    hidden: int = 16,
    layers: int = 2,
    prior: float | None = None,
) -> Network:
    """Residual blocks, each a linear recurrent cell and a static network after it:

        x ← x + MLP(cell(x)),   x₀ = u W₀ + b₀,   y = x W + b

    Args:
        cell: its name in `sim.rnn`.
        hidden: the width of each block.
        layers: how many blocks.
        prior: the standard deviation of the weights of the static networks and of the readout
            around 0; None means no prior.
    """
    _check_sizes(hidden=hidden, layers=layers)
    _check_prior(prior)
    weighted = (*(f"layers.{i}.net" for i in range(layers)), "W")
    start = partial(_blocks_start, cell, hidden, layers)
    kinds = {name: Prior(0.0, prior) for name in weighted if prior}
    return Network(CELLS[cell].title, start, partial(_blocks, cell), kinds)


def _blocks_start(cell, hidden, layers, key, inputs, outputs, records):
    params = CELLS[cell].params
    first, last, *keys = jax.random.split(key, 2 * layers + 2)
    parts = tuple(
        Block(params(a, hidden, hidden), rnn.mlp_params(b, (hidden, hidden, hidden), gain=0.1))
        for a, b in zip(keys[:layers], keys[layers:], strict=True)
    )
    entry = rnn.mlp_params(first, (inputs, hidden))
    return Blocks(entry, parts, *rnn.mlp_params(last, (hidden, outputs))[0])


def _blocks(cell, params):
    stepper = CELLS[cell].stepper
    parts = (rnn.residual(rnn.layers(stepper(b.cell), memoryless(b.net))) for b in params.layers)
    return rnn.readout(rnn.layers(memoryless(params.entry), *parts), params.W, params.b)


def memoryless(net: Any) -> Stepper:
    """An `sim.rnn.mlp` as a stepper without memory.

    >>> import jax.numpy as jnp
    >>> memoryless(((jnp.ones((1, 1)), jnp.ones(1)),)).step((), jnp.ones(1))[1].tolist()
    [2.0]
    """
    return Stepper(Partial(_no_carry), Partial(_apply_mlp, net))


def _no_carry(carry=()):
    return carry


def _apply_mlp(net, carry, x):
    return carry, rnn.mlp(net, x)


def state_space(
    states: int = 2,
    hidden: tuple[int, ...] = (8,),
    start: Literal["n4sid", "random"] = "n4sid",
    prior: float | tuple[float, ...] | None = None,
) -> Network:
    """`sim.rnn.state_space`: a linear system and a static network that corrects it.

    Args:
        states: how many states.
        hidden: widths of the hidden layers of the network.
        start: n4sid, the linear system that `sim.fit.n4sid` estimates from the stretches
            without a missing sample, if they are long enough; or random.
        prior: the standard deviation of the network's weights around 0; one for all layers, or
            one for each; None means no prior.
    """
    _check_sizes(states=states, **{f"hidden[{i}]": width for i, width in enumerate(hidden)})
    begin = partial(_state_space_start, states, hidden, start == "n4sid")
    warnings = partial(_state_space_warnings, states, start == "n4sid")
    priors = _layer_priors("net", hidden, prior)
    return Network("state space", begin, rnn.state_space, priors, warnings)


def _state_space_start(states, hidden, linear, key, inputs, outputs, records):
    parts = _complete_stretches(states, records) if linear and records else ()
    if not parts:
        return rnn.state_space_params(key, inputs, outputs, states, hidden)
    us, ys = zip(*parts, strict=True)
    system = n4sid(us, ys, states, stable=True)
    return rnn.from_linear(key, system, hidden, u=np.concatenate(us))


def _state_space_warnings(states, linear, records):
    if not linear or _complete_stretches(states, records):
        return ()
    return (
        f"the stretches without a missing sample are too short for n4sid with {states} "
        f"state{'s' * (states > 1)}: the state space began at random",
    )


def _complete_stretches(states, records):
    """The stretches without a missing sample; none where they are too short for n4sid.

    >>> y = np.array([[0.0]] * 9 + [[np.nan]] + [[1.0]] * 3 + [[np.nan]] + [[2.0]] * 8)
    >>> [u.tolist() for u, _ in _complete_stretches(1, [(np.arange(22.0)[:, None], y)])][0][:3]
    [[0.0], [1.0], [2.0]]
    """
    width = sum(x.shape[1] for x in records[0])
    horizon = -(-states // records[0][1].shape[1]) + 1  # the shortest that n4sid takes
    stretches = []
    for record in records:
        u, y = (np.asarray(x, float) for x in record)
        gaps = np.flatnonzero(np.isnan(y).any(axis=1))
        edges = pairwise([-1, *gaps.tolist(), len(y)])
        stretches += [(u[a + 1 : b], y[a + 1 : b]) for a, b in edges if b - a > 2 * horizon]
    windows = sum(len(y) - 2 * horizon + 1 for _, y in stretches)
    return stretches if windows >= 2 * horizon * width else []


def correction(
    hidden: tuple[int, ...] = (8,),
    parameters: Mapping[str, Any] | None = None,
    prior: float | tuple[float, ...] | None = None,
) -> Correction:
    """A static network N that corrects the model: ẏ = f(t, y, u) + N(y, u).

    Args:
        hidden: widths of its hidden layers.
        parameters: constraints of the parameters of ``model`` by name, as in the group ``fit``.
        prior: the standard deviation of the network's weights around 0; one for all layers, or
            one for each; None means no prior.
    """
    _check_sizes(**{f"hidden[{i}]": width for i, width in enumerate(hidden)})
    return Correction(hidden, dict(parameters or {}), _layer_priors("net", hidden, prior))


def _layer_priors(name, hidden, prior):
    """Priors of the layers of a static network, by dotted name."""
    if prior is None:
        return {}
    sds = prior if isinstance(prior, tuple) else (prior,) * (len(hidden) + 1)
    if len(sds) != len(hidden) + 1:
        raise ValueError(
            f"prior: expected one number, or one for each of {len(hidden) + 1} layers, "
            f"got {len(sds)}"
        )
    _check_prior(*sds)
    return {f"{name}.{i}": Prior(0.0, sd) for i, sd in enumerate(sds)}


def _check_sizes(**sizes):
    """Raise ValueError unless every size is at least 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {size}")


def _check_prior(*sds):
    """Raise ValueError unless every standard deviation is above 0, or None."""
    for sd in sds:
        if sd is not None and not sd > 0:
            raise ValueError(f"prior: expected a standard deviation above 0, or null, got {sd:g}")
