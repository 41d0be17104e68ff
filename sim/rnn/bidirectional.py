"""Two networks over one record, one from each end."""

from typing import Any

import jax
import jax.numpy as jnp

from sim import Stepper, check, rollout
from sim.rnn.carry import initialize_carry
from sim.step import Carry


def bidirectional(
    forward: Stepper,
    backward: Stepper,
    xs: Any,
    carries: tuple[Carry, Carry] | None = None,
    *,
    checkpoint_every: int | None = None,
) -> tuple[tuple[Carry, Carry], jax.Array]:
    """What each network makes of the past and of the future of every instant, side by side:

        y_k = [forward(x₀, …, x_k), backward(x_{N−1}, …, x_k)]

    It needs the whole record, so it is a function and no step.

    Args:
        forward, backward: layers that take the same x.
        xs: (N, ..., inputs).
        carries: where each begins; None is at rest.
        checkpoint_every: as in `rollout`.

    Returns:
        The carries at the end of each (the backward one belongs to the first instant), and
        ys (N, ..., hidden of both).

    Raises:
        ValueError: xs are no array (N, ..., inputs), carries no pair, or as in `rollout`.

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
    ends, ys = zip(
        rollout(forward.step, carries[0], xs, checkpoint_every=checkpoint_every),
        rollout(backward.step, carries[1], xs, reverse=True, checkpoint_every=checkpoint_every),
        strict=True,
    )
    return ends, jnp.concatenate(ys, axis=-1)
