"""Test signals: each function returns one sample for every time, always the same ones.

They are computed in float64 on the host, whatever the precision of the run, so that
a phase does not lose digits late in a record, and returned in the default float dtype.
A signal whose ``t`` is annotated with `sim.times.EachTime` (all but `filtered_noise`) depends
on each time alone, so that a record may be made in blocks.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import signal

from sim import check
from sim.multisine import (
    check_positive,
    crest_factor,
    low_crest_phases,
    multisine,
    random_phases,
    schroeder_phases,
)
from sim.prbs import prbs, shortest_register
from sim.times import Times, axis, check_below_nyquist, sample_interval

__all__ = [
    "chirp",
    "crest_factor",
    "filtered_noise",
    "low_crest_phases",
    "multisine",
    "prbs",
    "ramp",
    "random_phases",
    "schroeder_phases",
    "shortest_register",
    "sine",
    "step",
]


def step(t: Times, start: float = 0.0, amplitude: float = 1.0) -> jax.Array:
    """A step: u(t) = A for t ≥ start, 0 before.

    Args:
        t: times in s, shape (N,).
        start: time of the step, s.
        amplitude: A, in the unit of u.

    Returns:
        u, shape (N,).

    >>> step([0.0, 1.0, 2.0], start=1.0).tolist()
    [0.0, 1.0, 1.0]
    """
    return jnp.asarray(np.where(axis(t) >= start, float(amplitude), 0.0))


def ramp(t: Times, start: float = 0.0, slope: float = 1.0) -> jax.Array:
    """A ramp: u(t) = slope · max(t − start, 0).

    Args:
        t: times in s, shape (N,).
        start: time at which it leaves zero, s.
        slope: unit of u per s.

    Returns:
        u, shape (N,).

    >>> ramp([0.0, 1.0, 2.0, 3.0], start=1.0, slope=2.0).tolist()
    [0.0, 0.0, 2.0, 4.0]
    """
    return jnp.asarray(slope * np.maximum(axis(t).astype(np.float64) - start, 0))


def sine(t: Times, frequency: float, amplitude: float = 1.0, phase: float = 0.0) -> jax.Array:
    """A sine: u(t) = A sin(2π f t + φ).

    Args:
        t: times in s, shape (N,), regular.
        frequency: f in Hz.
        amplitude: A, in the unit of u.
        phase: φ in rad.

    Returns:
        u, shape (N,).

    Raises:
        ValueError: the frequency is not between 0 and half the sampling frequency.

    >>> sine([0.0, 0.25, 0.5], frequency=1.0).round(6).tolist()
    [0.0, 1.0, 0.0]
    """
    t = axis(t)
    check_below_nyquist("frequency", frequency, t)
    return jnp.asarray(amplitude * np.sin(2 * np.pi * frequency * t.astype(np.float64) + phase))


def chirp(
    t: Times,
    f0: float,
    t1: float,
    f1: float,
    *,
    logarithmic: bool = False,
    amplitude: float = 1.0,
    phase: float = 0.0,
) -> jax.Array:
    """A sweep from the frequency f0 at time 0 to f1 at time t1.

        u(t) = A cos(2π ∫₀ᵗ f dt + φ),   f = f0 + (f1 − f0) t / t1,
                                or, logarithmic,   f = f0 (f1 / f0)^(t / t1)

    Args:
        t: times in s, shape (N,), regular; the sweep goes on beyond t1.
        f0, f1: in Hz.
        t1: in s.
        logarithmic: equal times for equal ratios of frequency.
        amplitude: A, in the unit of u.
        phase: φ in rad.

    Returns:
        u, shape (N,).

    Raises:
        ValueError: a frequency is not between 0 and half the sampling frequency, at
            f0, f1, the first or the last time, or t1 is not positive.

    Reference: `scipy.signal.chirp`, whose arguments these are (its phase is in degrees).

    >>> chirp([0.0, 0.1, 0.2], f0=1.0, t1=1.0, f1=2.0).round(3).tolist()
    [1.0, 0.79, 0.187]
    """
    t = axis(t)
    check_positive("t1", t1)
    check_below_nyquist("f0", f0, t)
    check_below_nyquist("f1", f1, t)
    x = t.astype(np.float64) / t1
    octaves = np.log(f1 / f0)
    if logarithmic and octaves:
        ends = f0 * np.exp(octaves * x[[0, -1]])
        turns = f0 * t1 * np.expm1(octaves * x) / octaves
    else:
        ends = f0 + (f1 - f0) * x[[0, -1]]
        turns = t1 * (f0 * x + (f1 - f0) * x**2 / 2)
    for name, frequency in zip(("first", "last"), ends, strict=True):
        check_below_nyquist(f"frequency at the {name} time", frequency, t)
    return jnp.asarray(amplitude * np.cos(2 * np.pi * turns + phase))


def filtered_noise(
    t: Any, cutoff: float, rms: float = 1.0, *, order: int = 4, seed: int = 0
) -> jax.Array:
    """White Gaussian noise through a Butterworth low-pass, with a given rms.

        |H(f)|² = 1 / (1 + (tan(πf dt) / tan(πf_c dt))^(2n))

    The filter has settled before the first sample.

    Args:
        t: times in s, shape (N,), regular; a whole record, not a chunk of one.
        cutoff: f_c in Hz, where the power has halved; at least one cycle in the record.
        rms: of the record, exactly, in the unit of u.
        order: n of the filter.
        seed: of NumPy's default generator.

    Returns:
        u, shape (N,).

    Raises:
        ValueError: t is irregular, or an argument is not as above.

    Reference: `scipy.signal.butter`.

    >>> u = filtered_noise(np.arange(100) / 100, cutoff=5.0, rms=2.0)
    >>> round(float(jnp.sqrt(jnp.mean(u**2))), 12)
    2.0
    """
    dt = sample_interval(t)
    check_below_nyquist("cutoff", cutoff, t)
    if cutoff * dt * len(t) < 1:
        raise ValueError(
            f"cutoff: expected at least {1 / (dt * len(t)):g} Hz, one cycle in the record, "
            f"got {cutoff:g}"
        )
    check_positive("rms", rms)
    design = check.positive("order", order), cutoff
    _, poles, _ = signal.butter(*design, fs=1 / dt, output="zpk")
    settling = int(np.log(1e-6) / np.log(np.abs(poles).max())) + 1
    noise = np.random.default_rng(seed).normal(size=settling + len(t))
    u = signal.sosfilt(signal.butter(*design, fs=1 / dt, output="sos"), noise)[settling:]
    return jnp.asarray(u * rms / np.sqrt(np.mean(u**2)))
