"""Weights of torch's recurrent networks."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from sim.rnn.elman import Params as ElmanParams
from sim.rnn.gru import Params as GRUParams
from sim.rnn.lstm import Params as LSTMParams

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def from_torch(state: Mapping[str, np.ndarray], kind: str) -> tuple[NamedTuple, ...]:
    """The parameters of a ``torch.nn.GRU``, ``nn.LSTM`` or ``nn.RNN`` (tanh), layer by layer.

        W = weight_ihᵀ,   U = weight_hhᵀ,   b = bias_ih + bias_hh

    except for the gate n of a GRU, whose two biases stay separate. Both libraries have the
    gates in the same order. A state_dict does not name the activation of an ``nn.RNN``:
    weights of one with ``nonlinearity="relu"`` load without an error, into a tanh network.

    Args:
        state: name -> array, as ``{k: v.numpy() for k, v in module.state_dict().items()}``.
        kind: "gru", "lstm" or "rnn".

    Returns:
        One ``Params`` a layer, of `gru`, `lstm` or `elman`, in the dtype of the weights;
        ``layers(*map(gru, from_torch(state, "gru")))`` is the network. Where torch has the
        batch first, here time comes first.

    Raises:
        ValueError: a key is missing, is not known, or has another shape; directions or
            projections, which the layers here do not have.

    Reference: the equations of ``torch.nn.GRU``, ``nn.LSTM`` and ``nn.RNN``.

    >>> from sim.rnn import gru, layers
    >>> state = {"weight_ih_l0": np.ones((6, 3)), "weight_hh_l0": np.ones((6, 2))}
    >>> stepper = layers(*map(gru, from_torch(state, "gru")))
    >>> stepper.step(stepper.init(), jnp.ones(3))[1].shape
    (2,)
    """
    if kind not in GATES:
        raise ValueError(f'kind: expected "gru", "lstm" or "rnn", got {kind!r}')
    if not isinstance(state, Mapping):
        raise ValueError(
            f"state: expected a mapping from names to arrays, got {type(state).__name__}"
        )
    depth = _depth(state)
    bias = any(key.startswith("bias") for key in state)
    inputs, hidden = _widths(state)
    dtype = jnp.asarray(state["weight_ih_l0"]).dtype
    params = []
    for layer in range(depth):
        width = hidden if layer else inputs
        rows = GATES[kind] * hidden
        shapes = [(rows, width), (rows, hidden), (rows,), (rows,)]
        arrays = [
            _array(state, f"{name}_l{layer}", shape)
            if bias or name.startswith("weight")
            else np.zeros(shape)
            for name, shape in zip(NAMES, shapes, strict=True)
        ]
        params.append(_params(kind, hidden, *arrays, dtype))
    return tuple(params)


def _params(kind, hidden, W, U, b_i, b_h, dtype):
    def as_arrays(*arrays):
        return [jnp.asarray(array, dtype) for array in arrays]

    if kind == "lstm":
        return LSTMParams(*as_arrays(W.T, U.T, b_i + b_h))
    if kind == "rnn":
        return ElmanParams(*as_arrays(W.T, U.T, b_i + b_h))
    gates = 2 * hidden
    b = np.concatenate([b_i[:gates] + b_h[:gates], b_i[gates:]])
    return GRUParams(*as_arrays(W.T, U.T, b, b_h[gates:]))


def _depth(state):
    """The number of layers; ValueError unless all keys are known."""
    depth = 0
    for key in state:
        match = re.fullmatch(r"(\w+)_l(\d+)", str(key))
        if not match or match[1] not in NAMES:
            refused = " (one direction, no projection)" if match or "reverse" in str(key) else ""
            raise ValueError(
                f"state: expected keys such as weight_ih_l0 or bias_hh_l1{refused}, got {key!r}"
            )
        depth = max(depth, int(match[2]) + 1)
    return depth


def _widths(state):
    """Inputs of the first layer, and hidden units."""
    shapes = []
    for key in ("weight_ih_l0", "weight_hh_l0"):
        if key not in state:
            raise ValueError(f"state: expected the key {key!r}, got {sorted(map(str, state))}")
        shapes.append(np.shape(state[key]))
        if len(shapes[-1]) != 2:
            raise ValueError(f"state[{key!r}]: expected two axes, got shape {shapes[-1]}")
    return shapes[0][1], shapes[1][1]


def _array(state, key, shape):
    if key not in state:
        raise ValueError(f"state: expected the key {key!r}, got {sorted(map(str, state))}")
    if np.shape(state[key]) != shape:
        raise ValueError(f"state[{key!r}]: expected shape {shape}, got {np.shape(state[key])}")
    return np.asarray(state[key])
