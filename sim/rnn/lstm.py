"""Long short-term memory."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid
from jax.tree_util import Partial

from sim import Stepper
from sim.rnn import cell


class Params(NamedTuple):
    """Weights of `lstm`, the gates i, f, g, o side by side.

    Attributes:
        W: (inputs, 4 hidden), of the input.
        U: (hidden, 4 hidden), of the last output.
        b: (4 hidden,).
    """

    W: jax.Array
    U: jax.Array
    b: jax.Array


class Carry(NamedTuple):
    """The carry of `lstm`: its output h and its cell state c, each (..., hidden)."""

    h: jax.Array
    c: jax.Array


def _shapes(inputs, hidden):
    return Params((inputs, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,))


def params(key: jax.Array, inputs: int, hidden: int, *, dtype: Any = None) -> Params:
    """Random initial parameters: Glorot input weights, orthogonal state weights, a forget gate that
    keeps (bias 1), no other bias.

    Reference: R. Jozefowicz et al., ICML 2015, section 2.2, for the forget gate.

    >>> params(jax.random.key(0), 2, 2).b.tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    W, U = cell.weights(key, inputs, hidden, 4, dtype)
    zeros, ones = jnp.zeros(hidden, W.dtype), jnp.ones(hidden, W.dtype)
    return Params(W, U, jnp.concatenate([zeros, ones, zeros, zeros]))


def lstm(params: Params) -> Stepper:
    """Long short-term memory:

        i, f, o = σ(x W + h U + b)      input, forget and output gate
        g = tanh(x W_g + h U_g + b_g)
        c ← f ⊙ c + i ⊙ g
        h ← o ⊙ tanh(c),   y = h

    Args:
        params: `Params`; x (..., inputs), y and the leaves of the carry `Carry`
            (..., hidden), with any batch axes.

    Returns:
        A `Stepper`; ``init()`` is zero, ``init(Carry(h, c))`` is that carry.

    Raises:
        ValueError: as in `gru`.

    Reference: S. Hochreiter and J. Schmidhuber, Neural Computation 9 (1997); the forget
    gate of F. A. Gers et al., Neural Computation 12 (2000).

    >>> stepper = lstm(params(jax.random.key(0), 2, 4))
    >>> carry, y = stepper.step(stepper.init(), jnp.ones(2))
    >>> bool((carry.h == y).all()), carry.c.shape
    (True, (4,))
    """
    cell.check_type(params, Params)
    return Stepper(Partial(_init, params), Partial(_step, params))


def _init(params, carry=None):
    return cell.start(_like(params)[1], carry)


def _step(params, carry, x):
    (h, c), x = cell.check_input(*_like(params), carry, x)
    i, f, g, o = jnp.split(cell.gates(x, h, *params)[0], 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
    h = sigmoid(o) * jnp.tanh(c)
    return Carry(h, c), h


def _like(params):
    inputs, leaf = cell.sizes(params, _shapes)
    return inputs, Carry(leaf, leaf)
