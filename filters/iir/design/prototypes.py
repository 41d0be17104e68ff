"""Butterworth and Chebyshev low-pass prototypes: zeros, poles and gain in the s plane."""

import numpy as np

from filters.iir.numeric import arithmetic, decibels, order

LN10 = float(np.log(10.0))


def buttap(N):
    """Butterworth prototype: maximally flat, −3 dB at 1 rad/s.

        pₘ = −exp(iπm/2N),   m = 1−N, 3−N, …, N−1;   k = 1

    Args:
        N: the order.

    Returns:
        z (0,), p (N,), k.

    Reference: T. W. Parks and C. S. Burrus, *Digital Filter Design*, Wiley 1987, ch. 7.

    >>> z, p, k = buttap(2)
    >>> p.round(4).tolist()
    [(-0.7071+0.7071j), (-0.7071-0.7071j)]
    """
    N = order(N)
    p = -np.exp(1j * _angles(N))
    return np.zeros(0), p, 1.0


def cheb1ap(N, rp):
    """Chebyshev prototype of type 1: rp dB of ripple up to 1 rad/s.

        pₘ = −sinh(μ + iπm/2N),   μ = asinh(1/ε)/N,   ε² = 10^(rp/10) − 1

    Args:
        N: the order.
        rp: ripple of the pass band in dB, above 0; differentiable.

    Returns:
        z (0,), p (N,), k: the peaks of the pass band have gain 1.

    Reference: Parks and Burrus, ch. 7.

    >>> z, p, k = cheb1ap(1, 3.0)
    >>> round(float(k), 4)
    1.0024
    """
    N, rp = order(N), decibels("rp", rp, "passband ripple (rp)")
    ar = arithmetic(rp)
    xp, rp = ar.xp, ar.real(rp)
    z = xp.zeros(0, ar.real_dtype)
    if not N:
        return z, ar.complex(z), xp.exp(-rp * (LN10 / 20))
    eps2 = ripple(ar, rp)
    mu = xp.arcsinh(1 / xp.sqrt(eps2)) / N
    p = -_sinh(ar, mu, _angles(N))
    k = xp.prod(-p).real
    return z, p, k if N % 2 else k / xp.sqrt(1 + eps2)


def cheb2ap(N, rs):
    """Chebyshev prototype of type 2: flat, and rs dB down from 1 rad/s on.

        pₘ = −1/sinh(μ + iπm/2N),   zₘ = i/sin(πm/2N),   μ = asinh(√(10^(rs/10) − 1))/N

    Args:
        N: the order.
        rs: attenuation of the stop band in dB, above 0; differentiable.

    Returns:
        z (N or N−1,), p (N,), k.

    Reference: Parks and Burrus, ch. 7.

    >>> z, p, k = cheb2ap(3, 40.0)
    >>> z.imag.round(4).tolist()
    [-1.1547, 1.1547]
    """
    N, rs = order(N), decibels("rs", rs, "stopband attenuation (rs)")
    ar = arithmetic(rs)
    xp = ar.xp
    if not N:
        z = xp.zeros(0, ar.complex_dtype)
        return z, z, ar.real(1.0)
    mu = xp.arcsinh(xp.sqrt(ripple(ar, ar.real(rs)))) / N
    p = -1 / _sinh(ar, mu, _angles(N))
    angles = _angles(N)
    z = ar.complex(1j / np.sin(angles[angles != 0]))
    return z, p, (xp.prod(-p) / xp.prod(-z)).real


def ripple(ar, decibel):
    """ε² = 10^(dB/10) − 1."""
    return ar.xp.expm1(decibel * (LN10 / 10))


def _angles(N):
    return np.pi * np.arange(1 - N, N, 2) / (2 * N)


def _sinh(ar, mu, theta):
    """sinh(μ + iθ), real where θ = 0."""
    cos, sin = ar.real(np.cos(theta)), ar.real(np.sin(theta))
    return ar.rect(ar.xp.sinh(mu) * cos, ar.xp.cosh(mu) * sin)
