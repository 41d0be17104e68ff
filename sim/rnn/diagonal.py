"""The diagonal state-space model: poles in continuous time, discretised."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim import Stepper, check
from sim.rnn import cell, modes


class Params(NamedTuple):
    """Weights of `diagonal`.

    Attributes:
        log_decay: (hidden,): Re λ = −exp(log_decay), in 1/s where steps are in s.
        frequency: (hidden,): Im λ, in rad/s.
        log_step: (hidden,): Δ = exp(log_step), the length of a step, in s.
        B: (inputs, 2 hidden), Re B and Im B side by side.
        C: (2 hidden, hidden), Re C above Im C.
        D: (inputs, hidden).
    """

    log_decay: jax.Array
    frequency: jax.Array
    log_step: jax.Array
    B: jax.Array
    C: jax.Array
    D: jax.Array


def _shapes(inputs, hidden):
    n = hidden
    return Params((n,), (n,), (n,), (inputs, 2 * n), (2 * n, n), (inputs, n))


def params(key: jax.Array, inputs: int, hidden: int, *, dtype: Any = None) -> Params:
    """Initial parameters with poles −½ + iπk, k = 0, …, hidden − 1, and steps log-uniform between
    0.001 and 0.1; B, C and D are normal.

    >>> p = params(jax.random.key(0), 1, 3)
    >>> (p.frequency / jnp.pi).tolist()
    [0.0, 1.0, 2.0]
    """
    n, inputs = check.positive("hidden", hidden), check.positive("inputs", inputs)
    dtype = jnp.result_type(float) if dtype is None else dtype
    cell.check_key(key)
    keys = jax.random.split(key, 4)
    return Params(
        jnp.full(n, math.log(0.5), dtype),
        jnp.asarray(np.pi * np.arange(n), dtype),
        jax.random.uniform(keys[0], (n,), dtype, math.log(0.001), math.log(0.1)),
        jax.random.normal(keys[1], (inputs, 2 * n), dtype) / math.sqrt(2 * inputs),
        jax.random.normal(keys[2], (2 * n, n), dtype) / math.sqrt(2 * n),
        jax.random.normal(keys[3], (inputs, n), dtype) / math.sqrt(inputs),
    )


def diagonal(params: Params) -> Stepper:
    """Diagonal state space, a stable linear system whose input is held for a step:

        λ = −exp(log_decay) + i frequency,   a = exp(λ Δ)
        z ← a ⊙ z + (a − 1)/λ ⊙ (x B)
        y = 2 Re(z C) + x D

    Each mode stands for itself and its conjugate, hence the 2.

    Args:
        params: `Params`; x (..., inputs), y (..., hidden), and the leaves re and im of the
            carry (..., hidden), with any batch axes.

    Returns:
        A `Stepper`; ``init()`` is zero, ``init(carry)`` is that carry.

    Raises:
        ValueError: as in `gru`.

    References: A. Gu et al., "On the parameterization and initialization of diagonal state
    space models", NeurIPS 2022, arXiv 2206.11893 (S4D-Lin); J. T. H. Smith et al., ICLR
    2023, arXiv 2208.04933.

    >>> p = params(jax.random.key(0), 2, 4)
    >>> diagonal(p).step(diagonal(p).init(), jnp.ones(2))[1].shape
    (4,)
    """
    return modes.stepper(_modes(params))


def parallel(params: Params, carry: modes.Carry, xs: jax.Array) -> tuple[modes.Carry, jax.Array]:
    """A rollout of `diagonal` by `jax.lax.associative_scan`, as `lru_parallel` is of `lru`.

    Args:
        params: `Params`.
        carry: at the start, of ``diagonal(params).init()``.
        xs: (N, ..., inputs).

    Returns:
        The carry at the end, and ys (N, ..., hidden): those of a rollout, to rounding.

    Raises:
        ValueError: as in `diagonal`.

    Reference: J. T. H. Smith et al., section 3.

    >>> p = params(jax.random.key(0), 2, 4)
    >>> parallel(p, diagonal(p).init(), jnp.ones((10, 2)))[1].shape
    (10, 4)
    """
    return modes.parallel(_modes(params), carry, xs)


def _modes(params):
    cell.check_type(params, Params)
    cell.sizes(params, _shapes, ("B", "log_decay"))
    p, n = params, params.log_decay.shape[0]
    decay, step = jnp.exp(p.log_decay), jnp.exp(p.log_step)
    angle, shrink = p.frequency * step, jnp.exp(-decay * step)
    # a − 1, without the cancellation of a short step.
    re = jnp.expm1(-decay * step) * jnp.cos(angle) - 2 * jnp.sin(angle / 2) ** 2
    im = shrink * jnp.sin(angle)
    squared = decay**2 + p.frequency**2
    held_re = ((im * p.frequency - re * decay) / squared)[None]
    held_im = (-(im * decay + re * p.frequency) / squared)[None]
    B_re, B_im = jnp.split(p.B, 2, axis=1)
    B = [B_re * held_re - B_im * held_im, B_re * held_im + B_im * held_re]
    C = 2 * jnp.concatenate([p.C[:n], -p.C[n:]])
    return modes.Modes(shrink * jnp.cos(angle), im, jnp.concatenate(B, axis=1), C, p.D)
