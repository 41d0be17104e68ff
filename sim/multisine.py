"""Multisines: periodic signals of chosen harmonics, and phases that keep their peaks low."""

from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from sim import check
from sim.times import EachTime, axis, check_below_nyquist, sample_interval


def record_period(first: float, last: float, count: int) -> float:
    """The length in s of a record of ``count`` regular samples, N·dt: one period of it.

    >>> record_period(0.0, 1.5, 4)
    2.0
    """
    return count * ((last - first) / (count - 1))


def multisine(
    t: Annotated[Any, EachTime({"period": record_period})],
    harmonics: Sequence[int],
    phases: Sequence[float] | None = None,
    *,
    amplitudes: Sequence[float] | None = None,
    period: float | None = None,
    rms: float = 1.0,
) -> jax.Array:
    """A sum of harmonics of one period, with a given rms.

        u(t) = c Σₙ aₙ cos(2π hₙ t / T + φₙ),   c = rms / √(Σₙ aₙ² / 2)

    Args:
        t: times in s, shape (N,), regular.
        harmonics: h, increasing whole numbers of at least 1.
        phases: φ in rad, one for each harmonic; None for `schroeder_phases`.
        amplitudes: a, relative, one for each harmonic; None for equal ones.
        period: T in s; None for the length of the record, N·dt.
        rms: over one period, in the unit of u.

    Returns:
        u, shape (N,).

    Raises:
        ValueError: the highest harmonic reaches half the sampling frequency, or an
            argument is empty, not positive or of another length.

    Reference: R. Pintelon and J. Schoukens, *System Identification: A Frequency Domain
    Approach*, 2nd ed. (2012), ch. 5.

    >>> import jax.numpy as jnp
    >>> u = multisine(jnp.arange(64) / 64, [1, 2, 5], rms=3.0)
    >>> round(float(jnp.sqrt(jnp.mean(u**2))), 12)
    3.0
    """
    t = axis(t)
    harmonics, amplitudes = _spectrum(harmonics, amplitudes)
    phases = schroeder_phases(harmonics, amplitudes) if phases is None else np.asarray(phases)
    if phases.shape != harmonics.shape:
        raise ValueError(f"phases: expected {len(harmonics)}, got shape {phases.shape}")
    if period is None:
        period = len(t) * sample_interval(t)
    check_positive("period", period)
    check_positive("rms", rms)
    check_below_nyquist("harmonics", harmonics[-1] / period, t)
    turns = t.astype(np.float64) / period
    u = np.zeros(len(t))
    for h, a, phase in zip(harmonics, amplitudes, phases, strict=True):
        u += a * np.cos(2 * np.pi * np.mod(h * turns, 1) + phase)
    return jnp.asarray(u * rms / np.sqrt(np.sum(amplitudes**2) / 2))


def random_phases(harmonics: Sequence[int], seed: int) -> np.ndarray:
    """Independent phases, uniform in [0, 2π).

    Args:
        harmonics: as in `multisine`.
        seed: of NumPy's default generator.

    Returns:
        Phases in rad, one for each harmonic.

    >>> random_phases([1, 2, 3], seed=0).shape
    (3,)
    """
    harmonics, _ = _spectrum(harmonics, None)
    return np.random.default_rng(seed).uniform(0, 2 * np.pi, len(harmonics))


def schroeder_phases(
    harmonics: Sequence[int], amplitudes: Sequence[float] | None = None
) -> np.ndarray:
    """Phases that spread the harmonics over the period like a sweep.

        φₙ = −2π Σ_{m<n} (hₙ − hₘ) aₘ² / Σₖ aₖ²

    Args:
        harmonics: as in `multisine`.
        amplitudes: relative; None for equal ones.

    Returns:
        Phases in rad, one for each harmonic.

    Reference: M. R. Schroeder, "Synthesis of low-peak-factor signals and binary
    sequences with low autocorrelation", IEEE Trans. Information Theory 16 (1970).

    >>> (schroeder_phases([1, 2, 3]) / np.pi).round(3).tolist()
    [0.0, -0.667, -2.0]
    """
    harmonics, amplitudes = _spectrum(harmonics, amplitudes)
    power = np.cumsum(amplitudes**2) / np.sum(amplitudes**2)
    return np.concatenate([[0.0], -2 * np.pi * np.cumsum(np.diff(harmonics) * power[:-1])])


def low_crest_phases(
    harmonics: Sequence[int],
    amplitudes: Sequence[float] | None = None,
    *,
    iterations: int = 1000,
) -> np.ndarray:
    """Phases of a multisine with a low crest factor, by repeated clipping.

        φ ← arg DFT(clip(u_φ, ±ℓ max|u_φ|)),   ℓ from 0.6 to 0.99, from Schroeder's phases

    Args:
        harmonics: as in `multisine`.
        amplitudes: relative; None for equal ones.
        iterations: each takes two FFTs of about 16 times the highest harmonic. 1000 of
            them lower the crest factor of a flat spectrum from 1.7 to about 1.4.

    Returns:
        The best phases found, in rad, one for each harmonic.

    Reference: E. Van der Ouderaa, J. Schoukens and J. Renneboog, "Peak factor
    minimization using a time-frequency domain swapping algorithm", IEEE Trans.
    Instrumentation and Measurement 37 (1988).

    >>> t = np.arange(512) / 512
    >>> flat = multisine(t, range(1, 16), low_crest_phases(range(1, 16), iterations=200))
    >>> crest_factor(flat) < 1.5 < crest_factor(multisine(t, range(1, 16)))
    True
    """
    harmonics, amplitudes = _spectrum(harmonics, amplitudes)
    phases = best = schroeder_phases(harmonics, amplitudes)
    lowest = np.inf
    samples = 2 ** int(np.ceil(np.log2(16 * harmonics[-1])))
    for level in np.linspace(0.6, 0.99, check.positive("iterations", iterations)):
        spectrum = np.zeros(samples // 2 + 1, complex)
        spectrum[harmonics] = amplitudes * np.exp(1j * phases)
        u = np.fft.irfft(spectrum, samples)
        peak = np.abs(u).max()
        if peak < lowest:
            lowest, best = peak, phases
        clipped = np.clip(u, -level * peak, level * peak)
        phases = np.angle(np.fft.rfft(clipped)[harmonics])
    return best


def crest_factor(u: Any) -> float:
    """max|u| / rms(u): 1 for a square wave, √2 for a sine.

    >>> crest_factor([1.0, -1.0, 1.0])
    1.0
    """
    u = np.asarray(u)
    return float(np.abs(u).max() / np.sqrt(np.mean(u**2)))


def check_positive(name, value):
    """Raise ValueError unless the value is a positive number."""
    if not 0 < value < np.inf:
        raise ValueError(f"{name}: expected a positive number, got {value!r}")


def _spectrum(harmonics, amplitudes):
    h = np.asarray(harmonics)
    if h.ndim != 1 or not len(h) or h.dtype.kind not in "iu" or h[0] < 1 or (np.diff(h) < 1).any():
        raise ValueError(
            f"harmonics: expected increasing whole numbers of at least 1, got {harmonics!r}"
        )
    a = np.ones(len(h)) if amplitudes is None else np.asarray(amplitudes, np.float64)
    if a.shape != h.shape or not ((a > 0) & np.isfinite(a)).all():
        raise ValueError(f"amplitudes: expected {len(h)} positive numbers, got {amplitudes!r}")
    return h.astype(np.int64), a
