"""The gated recurrent unit."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid
from jax.tree_util import Partial

from sim import Stepper
from sim.rnn import cell


class Params(NamedTuple):
    """Weights of `gru`, the gates r, z, n side by side.

    Attributes:
        W: (inputs, 3 hidden), of the input.
        U: (hidden, 3 hidden), of the state.
        b: (3 hidden,).
        b_n: (hidden,), the second bias of n, inside the product that the reset gate scales.
    """

    W: jax.Array
    U: jax.Array
    b: jax.Array
    b_n: jax.Array


def _shapes(inputs, hidden):
    return Params((inputs, 3 * hidden), (hidden, 3 * hidden), (3 * hidden,), (hidden,))


def params(key: jax.Array, inputs: int, hidden: int, *, dtype: Any = None) -> Params:
    """Random initial parameters: Glorot input weights, orthogonal state weights, no bias.

    >>> params(jax.random.key(0), 2, 4).U.shape
    (4, 12)
    """
    W, U = cell.weights(key, inputs, hidden, 3, dtype)
    return Params(W, U, jnp.zeros(3 * hidden, W.dtype), jnp.zeros(hidden, W.dtype))


def gru(params: Params) -> Stepper:
    """Gated recurrent unit:

        r = σ(x W_r + h U_r + b_r)              reset
        z = σ(x W_z + h U_z + b_z)              update
        n = tanh(x W_n + b_n' + r ⊙ (h U_n + b_n))
        h ← (1 − z) ⊙ n + z ⊙ h,   y = h

    The reset gate acts after the product with U_n, as in cuDNN and torch.

    Args:
        params: `Params`; x (..., inputs), the carry h and y (..., hidden), with any batch
            axes.

    Returns:
        A `Stepper`; ``init()`` is zero, ``init(h)`` is h.

    Raises:
        ValueError: parameters of another cell; from init and step, widths, batch axes or
            dtypes that disagree.

    Reference: K. Cho et al., EMNLP 2014, arXiv 1406.1078.

    >>> from sim import rollout
    >>> stepper = gru(params(jax.random.key(0), 2, 4))
    >>> h, ys = rollout(stepper.step, stepper.init(), jnp.ones((10, 2)))
    >>> ys.shape, bool((ys[-1] == h).all())
    ((10, 4), True)
    """
    cell.check_type(params, Params)
    return Stepper(Partial(_init, params), Partial(_step, params))


def _init(params, carry=None):
    return cell.start(cell.sizes(params, _shapes)[1], carry)


def _step(params, h, x):
    h, x = cell.check_input(*cell.sizes(params, _shapes), h, x)
    both, n_x, n_h = cell.gates(x, h, *params)
    r, z = jnp.split(sigmoid(both), 2, axis=-1)
    new = jnp.tanh(n_x + r * n_h)
    h = new + z * (h - new)
    return h, h
