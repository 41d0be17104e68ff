"""The elliptic low-pass prototype, by Landen transformations of the modulus."""

import numpy as np

from filters.iir.design.prototypes import LN10, ripple
from filters.iir.numeric import arithmetic, decibels, order, traced

# Each converges quadratically: in float64 these suffice for 1 − k ≥ 1e-15, dB ≤ 300.
AGM_STEPS = 10
LANDEN_STEPS = 8
NOME_TERMS = 8


def ellipap(N, rp, rs):
    """Elliptic prototype: rp dB of ripple up to 1 rad/s, then rs dB of attenuation.

        zⱼ = ±i / (k sn(uⱼK, k)),   pⱼ = i sn((uⱼ + i v₀)K, k) and conjugates,
        v₀ = −i asn(i/ε, k₁) / (N K₁),   K′/K = K₁′/(N K₁),   uⱼ = j/N

    with ε² = 10^(rp/10) − 1 and k₁² = ε² / (10^(rs/10) − 1): the last equation, between
    the complete integrals of the moduli k and k₁, is the degree equation. It is solved
    by the nome, q(k) = q(k₁)^(1/N).

    Args:
        N: the order.
        rp: ripple of the pass band in dB, above 0; differentiable.
        rs: attenuation of the stop band in dB, above rp; differentiable.

    Returns:
        z (N or N−1,), p (N,), k: the peaks of the pass band have gain 1.

    Reference: S. J. Orfanidis, *Lecture Notes on Elliptic Filter Design*, Rutgers 2006.

    >>> z, p, k = ellipap(3, 1.0, 40.0)
    >>> z.round(4).tolist()
    [2.7583j, -2.7583j]
    """
    N = order(N)
    rp = decibels("rp", rp, "passband ripple (rp)")
    rs = decibels("rs", rs, "stopband attenuation (rs)")
    ar = arithmetic(rp, rs)
    xp, rp, rs = ar.xp, ar.real(rp), ar.real(rs)
    if not traced(rp, rs) and not rp < rs:
        raise ValueError(
            "rs: Cannot design a filter with given rp and rs specifications, "
            f"expected rs above rp, got rp = {rp}, rs = {rs}"
        )
    empty = xp.zeros(0, ar.complex_dtype)
    if not N:
        return empty, empty, xp.exp(-rp * (LN10 / 20))
    eps2 = ripple(ar, rp)
    eps = xp.sqrt(eps2)
    if N == 1:
        return empty, ar.complex(-1 / eps).reshape(1), 1 / eps
    k1 = eps / xp.sqrt(ripple(ar, rs))
    k = _degree(ar, N, k1)
    moduli = _landen(ar, k)

    u = np.arange(1 - N % 2, N, 2) / N
    s = _sn(xp, ar.real(np.sin(np.pi / 2 * u)), moduli)
    v0 = _asn(xp, 1 / eps, k1, _landen(ar, k1)) / N * (np.pi / 2)
    cos, sin = ar.real(np.cos(np.pi / 2 * u)), ar.real(np.sin(np.pi / 2 * u))
    w = _sn(xp, ar.rect(sin * xp.cosh(v0), cos * xp.sinh(v0)), [ar.complex(v) for v in moduli])
    p = ar.rect(-w.imag, -w.real)

    real = N % 2  # the first of each is at u = 0
    y = 1 / (k * s[real:])
    z = ar.rect(xp.zeros_like(y), y)
    z, p = xp.concatenate([z, xp.conj(z)]), xp.concatenate([p, xp.conj(p[real:])])
    gain = (xp.prod(-p) / xp.prod(-z)).real
    return z, p, gain if real else gain / xp.sqrt(1 + eps2)


def _degree(ar, N, k1):
    """The modulus k with K′/K = K₁′/(N K₁), by the theta functions k = (ϑ₂/ϑ₃)²."""
    xp = ar.xp
    ratio = _agm(xp, xp.sqrt((1 - k1) * (1 + k1))) / _agm(xp, k1)
    log_q = -np.pi / N * ratio
    n = np.arange(NOME_TERMS)
    theta2 = xp.sum(xp.exp(log_q * ar.real(n * (n + 1))))
    theta3 = 1 + 2 * xp.sum(xp.exp(log_q * ar.real((n + 1) ** 2)))
    return 4 * xp.exp(log_q / 2) * (theta2 / theta3) ** 2


def _agm(xp, b):
    """The arithmetic-geometric mean of 1 and b; K(k) = π / (2 agm(1, k′))."""
    a = xp.ones_like(b)
    for _ in range(AGM_STEPS):
        a, b = (a + b) / 2, xp.sqrt(a * b)
    return a


def _landen(ar, k):
    """The descending moduli kₙ₊₁ = (kₙ / (1 + kₙ′))²: they vanish quadratically."""
    moduli = []
    for _ in range(LANDEN_STEPS):
        k = (k / (1 + ar.xp.sqrt((1 - k) * (1 + k)))) ** 2
        moduli.append(k)
    return moduli


def _sn(xp, sine, moduli):
    """sn(uK, k) from sin(πu/2), its value at modulus 0, up through the moduli."""
    for v in reversed(moduli):
        sine = (1 + v) * sine / (1 + v * sine * sine)
    return sine


def _asn(xp, y, k, moduli):
    """v with sn(ivK, k) = iy, down through the moduli to sinh(πv/2)."""
    for v in moduli:
        y = 2 * y / ((1 + v) * (1 + xp.sqrt(1 + (k * y) ** 2)))
        k = v
    return xp.arcsinh(y) * (2 / np.pi)
