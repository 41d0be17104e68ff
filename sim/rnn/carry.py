"""The carry at rest of any stepper, for a batch."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from sim import Stepper, check
from sim.step import Carry


def initialize_carry(stepper: Stepper, batch: int | Sequence[int] = (), x: Any = None) -> Carry:
    """The carry of ``stepper.init()``, repeated for every member of a batch.

        (…, width) → (…, *batch, width)

    Batch axes stand before the last axis of each leaf, as the cells have them; a leaf
    without axes stays as it is.

    Args:
        stepper: with an ``init`` that needs no argument.
        batch: members, or the batch axes.
        x: an input of one instant, to check the step with; nothing is computed.

    Returns:
        The carry, repeated.

    Raises:
        ValueError: batch is not a size, or the step returns for x a carry of another
            structure, shape or dtype; the message names the leaf.

    Reference: `jax.eval_shape`, which checks the step.

    >>> from sim.rnn import gru, gru_params
    >>> stepper = gru(gru_params(jax.random.key(0), 2, 4))
    >>> initialize_carry(stepper, 32, x=jnp.ones((32, 2))).shape
    (32, 4)
    """
    if not isinstance(stepper, Stepper):
        raise ValueError(f"stepper: expected a Stepper, got {type(stepper).__name__}")
    batch = (batch,) if not isinstance(batch, Sequence) else batch
    batch = tuple(check.positive("batch", n) for n in batch)
    carry = jax.tree.map(lambda leaf: _repeat_leaf(jnp.asarray(leaf), batch), stepper.init())
    if x is not None:
        after = jax.eval_shape(stepper.step, carry, x)
        check.same_carry(carry, check.pair(after)[0])
    return carry


def _repeat_leaf(leaf, batch):
    if not leaf.ndim:
        return leaf
    shape = (*leaf.shape[:-1], *batch, leaf.shape[-1])
    return jnp.broadcast_to(jnp.expand_dims(leaf, range(leaf.ndim - 1, len(shape) - 1)), shape)
