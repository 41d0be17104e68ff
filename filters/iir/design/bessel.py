"""The Bessel low-pass prototype; it depends on the order alone, so NumPy computes it."""

import math

import numpy as np

from filters.iir.numeric import order

NORMS = ("phase", "delay", "mag")


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
        return np.zeros(0, complex), np.zeros(0, complex), 1.0
    p = _zeros(N)
    last = math.factorial(2 * N) // math.factorial(N) // 2**N  # θ_N(0)
    if norm == "phase":
        return np.zeros(0, complex), p * 10 ** (-math.log10(last) / N), 1.0
    scale = _half_power(p) if norm == "mag" else 1.0
    return np.zeros(0, complex), p / scale, float(last * scale**-N)


def _zeros(N):
    """The zeros of θ_N: of its coefficients, then exact by Newton on its recurrence."""
    coefficients = [
        math.factorial(2 * N - k)
        / (2 ** (N - k) * math.factorial(k) * math.factorial(N - k))
        for k in range(N, -1, -1)
    ]
    # In units of their mean modulus the coefficients span least.
    unit = coefficients[-1] ** (1 / N)
    s = unit * np.roots([c / unit**i for i, c in enumerate(coefficients)])
    for _ in range(5):
        f, slope = _theta(N, s)
        s = s - f / slope
    s = s[np.argsort(s.imag)[::-1]]
    return (s + s[::-1].conj()) / 2


def _theta(N, s):
    """θ_N and its derivative."""
    before, now = np.ones_like(s), s + 1
    dbefore, dnow = np.zeros_like(s), np.ones_like(s)
    for n in range(2, N + 1):
        before, now, dbefore, dnow = (
            now,
            (2 * n - 1) * now + s * s * before,
            dnow,
            (2 * n - 1) * dnow + 2 * s * before + s * s * dbefore,
        )
    return now, dnow


def _half_power(p):
    """The ω with ∏|iω − pᵢ|² = 2 ∏|pᵢ|², by Newton on the logarithm."""
    w = 1.5
    for _ in range(50):
        square = np.abs(1j * w - p) ** 2
        excess = np.sum(np.log(square / np.abs(p) ** 2)) - np.log(2)
        w -= excess / np.sum(2 * (w - p.imag) / square)
    return w
