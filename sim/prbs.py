"""Pseudo-random binary sequences: the bits of a shift register, from any time on."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import signal

from sim import check
from sim.times import EachTime, axis, sample_interval


def record_register(first: float, last: float, count: int, clock: float) -> int:
    """`shortest_register` of a record, by its first and last time in s and its samples.

    >>> record_register(0.0, 1.5, 4, clock=0.5)
    3
    """
    return shortest_register([last - (last - first) / (count - 1), last], clock)


def prbs(
    t: Annotated[Any, EachTime({"register": record_register})],
    clock: float,
    register: int | None = None,
    *,
    low: float = -1.0,
    high: float = 1.0,
    seed: int = 0,
) -> jax.Array:
    """A pseudo-random binary sequence of maximum length, 2ⁿ − 1 clock periods.

        u(t) = high or low, as bit ⌊t / clock⌋ of a shift register of n bits

    Over whole periods of ±1 its autocorrelation is 1 at lag zero and −1 / (2ⁿ − 1) at
    every other whole clock lag: nearly white.

    Args:
        t: times in s, shape (N,), regular.
        clock: s for which a bit is held, a whole number of sampling intervals.
        register: n, 2 to 32; None for `shortest_register` (give it when making a
            record in chunks).
        low, high: the two levels, in the unit of u.
        seed: of the first state of the register, that is, where in its period the
            sequence starts.

    Returns:
        u, shape (N,).

    Raises:
        ValueError: t is irregular, or clock or register is not as above.

    Reference: S. W. Golomb, *Shift Register Sequences* (1967); `scipy.signal.max_len_seq`.

    >>> prbs([0.0, 0.1, 0.2, 0.3], clock=0.2, high=5.0, seed=1).tolist()
    [-1.0, -1.0, 5.0, 5.0]
    """
    bit = _bits(t, clock)
    n = shortest_register(t, clock) if register is None else register
    if check.positive("register", n) not in range(2, 33):
        raise ValueError(f"register: expected 2 to 32, got {n}")
    state = int(np.random.default_rng(seed).integers(1, 2**n)) >> np.arange(n) & 1
    state = _advance_register(state, int(bit[0]) % (2**n - 1))
    sequence, _ = signal.max_len_seq(n, state, length=int(bit[-1] - bit[0]) + 1)
    return jnp.asarray(np.where(sequence[bit - bit[0]] == 1, float(high), float(low)))


def shortest_register(t: Any, clock: float) -> int:
    """The n whose period, 2ⁿ − 1 clock periods, reaches from time 0 to the end of t.

    Args:
        t, clock: as for `prbs`.

    Returns:
        n, from 2 to 32.

    >>> shortest_register([0.0, 0.5, 1.0, 1.5], clock=0.5)
    3
    """
    return min(max(int(_bits(t, clock)[-1] + 1).bit_length(), 2), 32)


def _bits(t, clock):
    """⌊t / clock⌋, where clock is a whole number of sampling intervals."""
    dt = sample_interval(t)
    hold = round(clock / dt) if np.isfinite(clock) else 0
    if hold < 1 or abs(clock / dt - hold) > 1e-3 * hold:
        raise ValueError(
            f"clock: expected a whole number of sampling intervals of {dt:g} s, got {clock:g}"
        )
    # A time rounded just below a clock edge belongs to the bit after it.
    return np.floor((axis(t).astype(np.float64) + 0.01 * dt) / clock).astype(np.int64)


def _advance_register(state, count):
    """The register after ``count`` clock periods: linear over GF(2), so by squaring its matrix."""
    n = len(state)
    power = np.stack([signal.max_len_seq(n, row, length=1)[1] for row in np.eye(n, dtype=np.int8)])
    while count:
        if count & 1:
            state = state @ power % 2
        power = power @ power % 2
        count >>= 1
    return state
