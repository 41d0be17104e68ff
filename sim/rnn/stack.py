"""Several layers in one step: of any kind, or equal ones with stacked parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial, keystr, tree_flatten_with_path

from sim import Stepper, cascade, check
from sim.step import as_pytree


def stack(cell: Callable[[Any], Stepper], params: Any) -> Stepper:
    """L equal layers, the y of one the x of the next, within each step:

        y₀ = x,   (cₗ, yₗ) ← cellₗ(cₗ, yₗ₋₁),   y = y_L

    Args:
        cell: ``params -> Stepper``, such as `gru`, with outputs as wide as its inputs.
        params: the parameters of all layers, each leaf with a leading axis of length L,
            as ``jax.vmap(lambda key: gru_params(key, n, n))(keys)`` makes them.

    Returns:
        A `Stepper`, that of `layers`: its carry is the tuple of the L carries. The layers
        are written out one after the other: a loop over many of them inside the step
        compiles faster, but ran no faster with 2 and 8 layers of 8 to 256 units.

    Raises:
        ValueError: params without a leading axis, or axes of different lengths.

    Reference: A. Graves, arXiv 1308.0850, section 2, for deep recurrent networks.

    >>> from sim.rnn import gru, gru_params
    >>> keys = jax.random.split(jax.random.key(0), 3)
    >>> stepper = stack(gru, jax.vmap(lambda key: gru_params(key, 4, 4))(keys))
    >>> carry, y = stepper.step(stepper.init(), jnp.ones(4))
    >>> len(carry), y.shape
    (3, (4,))
    """
    check.function("cell", cell)
    depth = _depth(params)
    return layers(*(cell(jax.tree.map(lambda leaf, i=i: leaf[i], params)) for i in range(depth)))


def _depth(params):
    """The number of layers, which all leaves have in common."""
    paths = tree_flatten_with_path(params)[0]
    leaves = [(f"params{keystr(path)}", jnp.shape(leaf)) for path, leaf in paths]
    first = leaves[0][1][:1] if leaves else ()
    for name, shape in leaves or [("params", ())]:
        if not shape or shape[:1] != first or not shape[0]:
            expected = f"({first[0]}, ...)" if first and first[0] else "a leading axis"
            raise ValueError(f"{name}: expected {expected}, one for each layer, got shape {shape}")
    return first[0]


def layers(*steppers: Stepper) -> Stepper:
    """Layers of any kind and width, the y of one the x of the next, within each step.

    It is `cascade` for steppers that start at rest: ``init()`` needs no argument, and
    ``init(carries)`` takes one tuple. The carry is the tuple of the layers' own.

    Args:
        steppers: at least one; each takes the output of the one before.

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
    cascade(*steppers)  # for its checks
    inits, steps = (tuple(map(as_pytree, fs)) for fs in zip(*steppers, strict=True))
    return Stepper(Partial(_layers_init, inits), Partial(_layers_step, steps))


def _layers_init(inits, carries=None):
    if carries is None:
        return tuple(init() for init in inits)
    pairs = zip(inits, _one_each(inits, carries), strict=True)
    return tuple(init(carry) for init, carry in pairs)


def _layers_step(steps, carries, x):
    out = []
    for step, carry in zip(steps, _one_each(steps, carries), strict=True):
        carry, x = check.pair(step(carry, x))
        out.append(carry)
    return tuple(out), x


def _one_each(layers, carries):
    if not isinstance(carries, tuple) or len(carries) != len(layers):
        raise ValueError(
            f"carries: expected a tuple of {len(layers)}, one for each layer, "
            f"got {check.describe(carries)}"
        )
    return carries
