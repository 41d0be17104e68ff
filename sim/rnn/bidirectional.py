"""Two networks over one record, one from each end."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sim import Stepper, check, rollout
from sim.rnn.carry import initialize_carry
from sim.step import Carry, as_pytree


def bidirectional(
    forward: Stepper,
    backward: Stepper,
    xs: Any,
    carries: tuple[Carry, Carry] | None = None,
    *,
    lengths: Any = None,
    checkpoint_every: int | None = None,
) -> tuple[tuple[Carry, Carry], jax.Array]:
    """What each network makes of the past and of the future of every instant, side by side:

        y_k = [forward(x₀, …, x_k), backward(x_{N−1}, …, x_k)]

    It needs the whole record, so it is a function and no step.

    Args:
        forward, backward: layers that take the same x.
        xs: (N, ..., inputs).
        carries: where each begins; None is at rest.
        lengths: (...), of a padded batch the samples of each record: the backward network
            begins at its last one, and beyond it ys is 0. None is N for all. A leaf of a
            carry without the batch axes, a counter, goes on to N.
        checkpoint_every: as in `rollout`.

    Returns:
        The carries at the end of each (the backward one belongs to the first instant), and
        ys (N, ..., hidden of both).

    Raises:
        ValueError: xs are no array (N, ..., inputs), carries no pair, lengths no whole numbers
            from 0 to N, one for each record, or as in `rollout`.

    Reference: M. Schuster and K. K. Paliwal, IEEE Trans. Signal Processing 45 (1997).

    >>> from sim.rnn import gru, gru_params
    >>> one, two = (gru(gru_params(k, 1, 4)) for k in jax.random.split(jax.random.key(0)))
    >>> bidirectional(one, two, jnp.ones((10, 1)))[1].shape
    (10, 8)
    """
    check.arrays("xs", xs)
    if jnp.ndim(xs) < 2:
        raise ValueError(f"xs: expected one array (N, ..., inputs), got shape {jnp.shape(xs)}")
    if carries is None:
        batch = jnp.shape(xs)[1:-1]
        carries = initialize_carry(forward, batch), initialize_carry(backward, batch)
    if not isinstance(carries, tuple) or len(carries) != 2:
        raise ValueError(f"carries: expected a pair, got {check.describe(carries)}")
    steps = forward.step, backward.step
    if lengths is not None:
        steps = tuple(Partial(_within, as_pytree(step)) for step in steps)
        xs = jnp.asarray(xs), _inside(lengths, xs)
    ends, ys = zip(
        rollout(steps[0], carries[0], xs, checkpoint_every=checkpoint_every),
        rollout(steps[1], carries[1], xs, reverse=True, checkpoint_every=checkpoint_every),
        strict=True,
    )
    return ends, jnp.concatenate(ys, axis=-1)


def _inside(lengths, xs):
    """Which samples (N, ...) are of the records."""
    (n, *batch), found = jnp.shape(xs)[:-1], jnp.asarray(lengths)
    if found.shape != tuple(batch) or not jnp.issubdtype(found.dtype, jnp.integer):
        raise ValueError(
            f"lengths: expected whole numbers of shape {tuple(batch)}, the batch axes of xs, "
            f"got {check.aval(found)}"
        )
    if not isinstance(found, jax.core.Tracer):
        outside = [int(k) for k in np.ravel(found) if not 0 <= k <= n]
        if outside:
            raise ValueError(f"lengths: expected numbers from 0 to {n}, got {outside[0]}")
    found = jnp.expand_dims(found.astype(jnp.result_type(int)), 0)
    return jnp.arange(n).reshape(n, *[1] * len(batch)) < found


def _within(step, carry, x):
    """The step inside a record; beyond it the carry waits, and y is 0."""
    x, inside = x
    # What a record is padded with must not reach the derivatives, NaN least of all.
    after, y = check.pair(step(carry, _where(inside, x, jnp.zeros_like(x))))
    carry = jax.tree.map(lambda new, old: _where(inside, new, old), after, carry)
    return carry, _where(inside, y, jnp.zeros_like(y))


def _where(inside, new, old):
    if new.shape[: inside.ndim] != inside.shape:
        return new
    inside = jnp.expand_dims(inside, range(inside.ndim, new.ndim))
    return jnp.where(jnp.broadcast_to(inside, new.shape), new, old)
