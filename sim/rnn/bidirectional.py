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
    """The outputs of a forward and a backward network, side by side at every instant:

        y_k = [forward(x₀, …, x_k), backward(x_{N−1}, …, x_k)]

    It needs the whole record, so it is a function and no step.

    Args:
        forward, backward: layers that take the same x.
        xs: (N, ..., inputs).
        carries: the initial carry of each; None is at rest.
        lengths: (...), the number of samples of each record in a padded batch. The
            backward network begins at the last one, and beyond it ys is 0. None is N for
            all. A leaf of a carry without the batch axes, such as a counter, runs on to N.
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
    """Whether each sample (N, ...) lies within its record."""
    (n, *batch), counts = jnp.shape(xs)[:-1], jnp.asarray(lengths)
    if counts.shape != tuple(batch) or not jnp.issubdtype(counts.dtype, jnp.integer):
        raise ValueError(
            f"lengths: expected whole numbers of shape {tuple(batch)}, the batch axes of xs, "
            f"got {check.aval(counts)}"
        )
    if not isinstance(counts, jax.core.Tracer):
        outside = [int(k) for k in np.ravel(counts) if not 0 <= k <= n]
        if outside:
            raise ValueError(f"lengths: expected numbers from 0 to {n}, got {outside[0]}")
    counts = jnp.expand_dims(counts.astype(jnp.result_type(int)), 0)
    return jnp.arange(n).reshape(n, *[1] * len(batch)) < counts


def _within(step, carry, x):
    """The step inside a record; beyond it the carry waits, and y is 0."""
    x, inside = x
    # The padding, which may be NaN, must not reach the derivatives.
    after, y = check.pair(step(carry, _where(inside, x, jnp.zeros_like(x))))
    carry = jax.tree.map(lambda new, old: _where(inside, new, old), after, carry)
    return carry, _where(inside, y, jnp.zeros_like(y))


def _where(inside, new, old):
    if new.shape[: inside.ndim] != inside.shape:
        return new
    inside = jnp.expand_dims(inside, range(inside.ndim, new.ndim))
    return jnp.where(jnp.broadcast_to(inside, new.shape), new, old)
