"""The minimal gated unit: one gate that forgets and resets."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid
from jax.tree_util import Partial

from sim import Stepper
from sim.rnn import cell


class Params(NamedTuple):
    """Weights of `minimal_gated`, the gates f, n side by side.

    Attributes:
        W: (inputs, 2 hidden), of the input.
        U: (hidden, 2 hidden), of the state.
        b: (2 hidden,).
        b_n: (hidden,), the second bias of n, inside the product that the gate scales.
    """

    W: jax.Array
    U: jax.Array
    b: jax.Array
    b_n: jax.Array


def _shapes(inputs, hidden):
    return Params((inputs, 2 * hidden), (hidden, 2 * hidden), (2 * hidden,), (hidden,))


def params(key: jax.Array, inputs: int, hidden: int, *, dtype: Any = None) -> Params:
    """Random initial parameters: Glorot input weights, orthogonal state weights, a gate that keeps
    (bias 1), no other bias.

    >>> params(jax.random.key(0), 2, 3).b.tolist()
    [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    W, U = cell.weights(key, inputs, hidden, 2, dtype)
    b = jnp.concatenate([jnp.ones(hidden, W.dtype), jnp.zeros(hidden, W.dtype)])
    return Params(W, U, b, jnp.zeros(hidden, W.dtype))


def minimal_gated(params: Params) -> Stepper:
    """Minimal gated unit, two thirds of the weights of a GRU:

        f = σ(x W_f + h U_f + b_f)
        n = tanh(x W_n + b_n' + f ⊙ (h U_n + b_n))
        h ← (1 − f) ⊙ n + f ⊙ h,   y = h

    The gate acts after the product with U_n, as in `gru` and in flax, so that one product
    makes both gates.

    Args:
        params: `Params`; x (..., inputs), the carry h and y (..., hidden), with any batch
            axes.

    Returns:
        A `Stepper`; ``init()`` is zero, ``init(h)`` is h.

    Raises:
        ValueError: as in `gru`.

    Reference: G.-B. Zhou et al., "Minimal gated unit for recurrent neural networks",
    Int. J. Automation and Computing 13 (2016), arXiv 1603.09420.

    >>> stepper = minimal_gated(params(jax.random.key(0), 2, 4))
    >>> stepper.step(stepper.init(), jnp.ones(2))[1].shape
    (4,)
    """
    cell.check_type(params, Params)
    return Stepper(Partial(_init, params), Partial(_step, params))


def _init(params, carry=None):
    return cell.start(cell.sizes(params, _shapes)[1], carry)


def _step(params, h, x):
    h, x = cell.check_input(*cell.sizes(params, _shapes), h, x)
    both, n_x, n_h = cell.gates(x, h, *params)
    f = sigmoid(both)
    new = jnp.tanh(n_x + f * n_h)
    h = new + f * (h - new)
    return h, h
