"""The Bessel low-pass prototype; it depends on the order alone, so NumPy computes it."""

import math

import numpy as np

from filters.iir.numeric import order

NORMS = ("phase", "delay", "mag")
BITS = 256  # behind the point


def besselap(N, norm="phase"):
    """Bessel prototype: maximally flat group delay.

        H(s) = θ_N(0) / θ_N(s/ω₀),   θₙ = (2n−1) θₙ₋₁ + s² θₙ₋₂,   θ₀ = 1, θ₁ = s + 1

    Args:
        N: the order.
        norm: what fixes ω₀: "phase", half of the phase shift at 1 rad/s, asymptotes as
            Butterworth's; "delay", a group delay of 1 s at 0; "mag", −3 dB at 1 rad/s.

    Returns:
        z (0,), p (N,), k.

    Raises:
        ValueError: N is no order, or the norm is unknown.

    Reference: W. E. Thomson, "Delay networks having maximally flat frequency
    characteristics", Proceedings of the IEE 96 (1949).

    >>> z, p, k = besselap(2, norm="delay")
    >>> p.round(4).tolist(), float(k)
    ([(-1.5+0.866j), (-1.5-0.866j)], 3.0)
    """
    N = order(N)
    if norm not in NORMS:
        raise ValueError(f"norm: normalization not understood, expected {NORMS}, got {norm!r}")
    if not N:
        return np.zeros(0), np.zeros(0, complex), 1.0
    p = _zeros(N)
    last = math.factorial(2 * N) // math.factorial(N) // 2**N  # θ_N(0)
    if norm == "phase":
        return np.zeros(0), p * 10 ** (-math.log10(last) / N), 1.0
    scale = _half_power(p) if norm == "mag" else 1.0
    return np.zeros(0), p / scale, float(last * scale**-N)


def _zeros(N):
    """The zeros of θ_N: a first guess in floats, then Aberth's method with exact values."""
    f = math.factorial
    coefficients = [f(2 * N - k) // (2 ** (N - k) * f(k) * f(N - k)) for k in range(N, -1, -1)]
    # In units of their mean modulus the coefficients span the fewest decades.
    unit = coefficients[-1] ** (1 / N)
    s = unit * np.roots([c / unit**i for i, c in enumerate(coefficients)])
    for _ in range(100):
        value, slope = _horner(coefficients, s)
        # Each zero is repelled by the others, so that no two converge to the same.
        gaps = s[:, None] - s + np.diag(np.full(N, np.inf))
        newton = value / slope
        s = s - newton / (1 - newton * np.sum(1 / gaps, axis=1))
        if np.all(
            np.abs(newton) < 1e-12 * np.abs(s)
        ):  # converged: the next correction would be below rounding
            break
    s = s[np.argsort(-s.imag)]
    return (s + s[::-1].conj()) / 2


def _horner(coefficients, s):
    """A polynomial and its derivative in integers, as the terms cancel to 20 digits."""
    one = 1 << BITS
    re, im = (np.array([int(x) for x in part * 2.0**BITS], object) for part in (s.real, s.imag))

    def times(x, y):
        return (x * re - y * im) >> BITS, (x * im + y * re) >> BITS

    value, slope = (0 * re, 0 * im), (0 * re, 0 * im)
    for c in coefficients:
        slope = tuple(d + v for d, v in zip(times(*slope), value, strict=True))
        value = times(*value)
        value = (value[0] + c * one, value[1])
    floats = [(x / one).astype(float) for x in (*value, *slope)]
    return floats[0] + 1j * floats[1], floats[2] + 1j * floats[3]


def _half_power(p):
    """The ω with ∏|iω − pᵢ|² = 2 ∏|pᵢ|², by Newton on the logarithm."""
    w = 1.5
    for _ in range(50):
        square = np.abs(1j * w - p) ** 2
        excess = np.sum(np.log(square / np.abs(p) ** 2)) - np.log(2)
        w -= excess / np.sum(2 * (w - p.imag) / square)
    return w
