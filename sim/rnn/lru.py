"""The linear recurrent unit."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sim import Stepper, check
from sim.rnn import cell, modes


class Params(NamedTuple):
    """Weights of `lru`.

    Attributes:
        log_decay: (hidden,), ν: modes decay by exp(−e^ν) a step.
        log_phase: (hidden,), θ: modes turn by e^θ rad a step.
        log_scale: (hidden,), log γ, the gain of the input of a mode.
        B: (inputs, 2 hidden), Re B and Im B side by side.
        C: (2 hidden, hidden), Re C above Im C.
        D: (inputs, hidden).
    """

    log_decay: jax.Array
    log_phase: jax.Array
    log_scale: jax.Array
    B: jax.Array
    C: jax.Array
    D: jax.Array


def _shapes(inputs, hidden):
    n = hidden
    return Params((n,), (n,), (n,), (inputs, 2 * n), (2 * n, n), (inputs, n))


def params(
    key: jax.Array,
    inputs: int,
    hidden: int,
    *,
    dtype: Any = None,
    radii: tuple[float, float] = (0.0, 1.0),
    phase: float = 2 * math.pi,
) -> Params:
    """Random initial parameters: poles uniform on a ring, |a| in ``radii``, angle up to ``phase``.

    γ = √(1 − |a|²), so that white input gives every mode the same variance. For long
    memory take radii such as (0.9, 0.999), and for slow signals a small phase.

    Raises:
        ValueError: a size is below 1, or no pole on the ring is a number of the dtype that is
            above 0 and below 1.

    >>> p = params(jax.random.key(0), 1, 100, radii=(0.9, 0.99))
    >>> radius = jnp.exp(-jnp.exp(p.log_decay))
    >>> bool((radius > 0.9).all()), bool((radius < 0.99).all())
    (True, True)
    """
    n, inputs = check.positive("hidden", hidden), check.positive("inputs", inputs)
    low, high = radii
    if not 0 <= low < high <= 1:
        raise ValueError(f"radii: expected 0 ≤ low < high ≤ 1, got {radii}")
    if not 0 < phase < math.inf:
        raise ValueError(f"phase: expected an angle above 0 rad, got {phase}")
    dtype = jnp.dtype(jnp.result_type(float) if dtype is None else dtype)
    least, most = float(jnp.finfo(dtype).tiny), 1 - float(jnp.finfo(dtype).eps)  # of |a|²
    if not (low**2 < most and high**2 > least):
        raise ValueError(
            f"radii: expected a ring that {dtype} can tell from 0 and from 1, got {radii}"
        )
    cell.check_key(key)
    keys = jax.random.split(key, 5)
    # Away from 0 and 1, where the logarithms are not finite.
    squared = jax.random.uniform(keys[0], (n,), dtype, 1e-6, 1 - 1e-6)
    squared = jnp.clip(squared * (high**2 - low**2) + low**2, least, most)
    angle = phase * jax.random.uniform(keys[1], (n,), dtype, 1e-6, 1)
    return Params(
        jnp.log(-0.5 * jnp.log(squared)),
        jnp.log(angle),
        0.5 * jnp.log1p(-squared),
        jax.random.normal(keys[2], (inputs, 2 * n), dtype) / math.sqrt(2 * inputs),
        jax.random.normal(keys[3], (2 * n, n), dtype) / math.sqrt(n),
        jax.random.normal(keys[4], (inputs, n), dtype) / math.sqrt(inputs),
    )


def lru(params: Params) -> Stepper:
    """Linear recurrent unit, stable for any parameters:

        a = exp(−e^ν + i e^θ)
        z ← a ⊙ z + γ ⊙ (x B)
        y = Re(z C) + x D

    Args:
        params: `Params`; x (..., inputs), y (..., hidden), and the leaves re and im of the
            carry (..., hidden), with any batch axes.

    Returns:
        A `Stepper`; ``init()`` is zero, ``init(carry)`` is that carry.

    Raises:
        ValueError: as in `gru`.

    It is linear; the layers between several of them, as in `residual`, make a network.
    `lru_parallel` computes the same for all steps at once.

    Reference: A. Orvieto et al., "Resurrecting recurrent neural networks for long
    sequences", ICML 2023, arXiv 2303.06349.

    >>> from sim import rollout
    >>> p = params(jax.random.key(0), 2, 4)
    >>> carry, ys = rollout(lru(p).step, lru(p).init(), jnp.ones((10, 2)))
    >>> bool(jnp.allclose(parallel(p, lru(p).init(), jnp.ones((10, 2)))[1], ys))
    True
    """
    return modes.stepper(_modes(params))


def parallel(params: Params, carry: modes.Carry, xs: jax.Array) -> tuple[modes.Carry, jax.Array]:
    """A rollout of `lru` by `jax.lax.associative_scan`: for accelerators, and long records.

    Args:
        params: `Params`.
        carry: at the start, of ``lru(params).init()``.
        xs: (N, ..., inputs).

    Returns:
        The carry at the end, and ys (N, ..., hidden): those of a rollout, to rounding.

    Raises:
        ValueError: as in `lru`.

    Reference: as `lru`, section 2.2.

    >>> p = params(jax.random.key(0), 2, 4)
    >>> parallel(p, lru(p).init(), jnp.ones((10, 2)))[1].shape
    (10, 4)
    """
    return modes.parallel(_modes(params), carry, xs)


def _modes(params):
    cell.check_type(params, Params)
    cell.sizes(params, _shapes, ("B", "log_decay"))
    p, n = params, params.log_decay.shape[0]
    radius, angle = jnp.exp(-jnp.exp(p.log_decay)), jnp.exp(p.log_phase)
    scale = jnp.exp(jnp.concatenate([p.log_scale, p.log_scale]))
    C = jnp.concatenate([p.C[:n], -p.C[n:]])
    return modes.Modes(radius * jnp.cos(angle), radius * jnp.sin(angle), p.B * scale[None], C, p.D)
