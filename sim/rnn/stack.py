"""Several layers in one step: equal ones with their parameters stacked, and any others."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim import Stepper, cascade, check, rollout
from sim.step import as_pytree


def stack(cell: Callable[[Any], Stepper], params: Any) -> Stepper:
    """L equal layers, the y of one the x of the next, within each step:

        y₀ = x,   (cₗ, yₗ) ← cellₗ(cₗ, yₗ₋₁),   y = y_L

    Args:
        cell: ``params -> Stepper``, such as `gru`; what it takes in and gives out is
            equally wide.
        params: the parameters of all layers, each leaf with a leading axis of length L.

    Returns:
        A `Stepper`. Its carry is that of the cell with a leading axis of length L.

    Raises:
        ValueError: leading axes that differ, or a layer that changes the width.

    Reference: A. Graves, arXiv 1308.0850, section 2, for deep recurrent networks.

    >>> from sim.rnn import gru, gru_params
    >>> keys = jax.random.split(jax.random.key(0), 3)
    >>> stepper = stack(gru, jax.vmap(lambda k: gru_params(k, 4, 4))(keys))
    >>> carry, y = stepper.step(stepper.init(), jnp.ones(4))
    >>> carry.shape, y.shape
    ((3, 4), (4,))
    """
    check.function("cell", cell)
    check.scan_length(params, None)
    cell = as_pytree(cell)
    return Stepper(Partial(_stack_init, cell, params), Partial(_stack_step, cell, params))


def _stack_init(cell, params, carry=None):
    if carry is None:
        return jax.vmap(lambda p: cell(p).init())(params)
    layers = check.scan_length(params, None)
    for path, leaf in jax.tree_util.tree_flatten_with_path(carry)[0]:
        if jnp.shape(leaf)[:1] != (layers,):
            name = f"carry{jax.tree_util.keystr(path)}"
            raise ValueError(
                f"{name}: expected ({layers}, ...), one for each layer, got {jnp.shape(leaf)}"
            )
    return jax.vmap(lambda p, c: cell(p).init(c))(params, carry)


def _stack_step(cell, params, carry, x):
    def layer(x, params_carry):
        params, carry = params_carry
        carry, y = check.pair(cell(params).step(carry, x))
        if check.aval(y) != check.aval(x):
            raise ValueError(
                f"stack: expected layers that keep {check.aval(x)}, got {check.aval(y)}"
            )
        return y, carry

    y, carry = rollout(layer, jnp.asarray(x), (params, carry))
    return carry, y


def layers(*steppers: Stepper) -> Stepper:
    """Layers of any kind and width, the y of one the x of the next, within each step.

    It is `cascade` for steppers that start at rest: ``init()`` needs no argument, and
    ``init(carries)`` takes one tuple. The carry is the tuple of the layers' own.

    Args:
        steppers: at least one; each takes in what the one before gives out.

    Returns:
        A `Stepper`.

    Raises:
        ValueError: none, no stepper, or another number of carries.

    Reference: as `stack`.

    >>> from sim.rnn import gru, gru_params, lstm, lstm_params
    >>> first, second = jax.random.split(jax.random.key(0))
    >>> stepper = layers(gru(gru_params(first, 2, 8)), lstm(lstm_params(second, 8, 4)))
    >>> stepper.step(stepper.init(), jnp.ones(2))[1].shape
    (4,)
    """
    step = cascade(*steppers).step
    inits = tuple(as_pytree(stepper.init) for stepper in steppers)
    return Stepper(Partial(_layers_init, inits), step)


def _layers_init(inits, carries=None):
    if carries is None:
        return tuple(init() for init in inits)
    if not isinstance(carries, tuple) or len(carries) != len(inits):
        raise ValueError(
            f"carries: expected a tuple of {len(inits)}, one for each layer, "
            f"got {check.describe(carries)}"
        )
    return tuple(init(carry) for init, carry in zip(inits, carries, strict=True))
