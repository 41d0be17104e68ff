"""The vanilla recurrent network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim import Stepper
from sim.rnn import cell


class Params(NamedTuple):
    """Weights of `elman`.

    Attributes:
        W: (inputs, hidden), of the input.
        U: (hidden, hidden), of the state.
        b: (hidden,).
    """

    W: jax.Array
    U: jax.Array
    b: jax.Array


def _shapes(inputs, hidden):
    return Params((inputs, hidden), (hidden, hidden), (hidden,))


def params(key: jax.Array, inputs: int, hidden: int, *, dtype: Any = None) -> Params:
    """Random initial parameters: Glorot input weights, orthogonal state weights, no bias.

    >>> params(jax.random.key(0), 2, 4).W.shape
    (2, 4)
    """
    W, U = cell.weights(key, inputs, hidden, 1, dtype)
    return Params(W, U, jnp.zeros(hidden, W.dtype))


def elman(params: Params) -> Stepper:
    """Vanilla recurrent network:

        h ← tanh(x W + h U + b),   y = h

    Args:
        params: `Params`; x (..., inputs), the carry h and y (..., hidden), with any batch
            axes.

    Returns:
        A `Stepper`; ``init()`` is zero, ``init(h)`` is h.

    Raises:
        ValueError: as in `gru`.

    Reference: J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).

    >>> stepper = elman(params(jax.random.key(0), 2, 4))
    >>> stepper.step(stepper.init(), jnp.ones(2))[1].shape
    (4,)
    """
    cell.check_type(params, Params)
    return Stepper(Partial(_init, params), Partial(_step, params))


def _init(params, carry=None):
    return cell.start(cell.sizes(params, _shapes)[1], carry)


def _step(params, h, x):
    h, x = cell.check_input(*cell.sizes(params, _shapes), h, x)
    h = jnp.tanh(cell.gates(x, h, *params)[0])
    return h, h
