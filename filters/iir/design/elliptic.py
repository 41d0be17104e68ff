"""The elliptic low-pass prototype, by Landen transformations of the modulus."""

import numpy as np

from filters.iir.design.prototypes import LN10, ripple
from filters.iir.numeric import arithmetic, decibels, is_traced, loop, order

# The iterations converge quadratically: in float64 these suffice for 1 − k ≥ 1e-15, dB ≤ 300.
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
    empty = xp.zeros(0, ar.complex_dtype)
    if not N:
        return empty, empty, xp.exp(-rp * (LN10 / 20))
    eps2 = ripple(ar, rp)
    eps = xp.sqrt(eps2)
    if N == 1:
        return empty, ar.complex(-1 / eps).reshape(1), 1 / eps
    if not is_traced(rp, rs) and not rp < rs:
        raise ValueError(
            "rs: Cannot design a filter with given rp and rs specifications, "
            f"expected rs above rp, got rp = {rp}, rs = {rs}"
        )
    k1 = eps / xp.sqrt(ripple(ar, rs))
    k = _degree(ar, N, k1)
    moduli = _landen(xp, k)

    u = np.arange(1 - N % 2, N, 2) / N
    s = _sn(xp, ar.real(np.sin(np.pi / 2 * u)), moduli, 1)
    y = _sn(xp, xp.sinh(_arc(xp, 1 / eps, k1, _landen(xp, k1)) / N), moduli, -1)
    # sn(a + b) with sn a = s and sn b = iy, in real numbers.
    cn_dn = xp.sqrt((1 - s) * (1 + s) * (1 - k * s) * (1 + k * s))
    below = 1 + (k * s * y) ** 2
    im = -s * xp.sqrt((1 + y * y) * (1 + (k * y) ** 2)) / below
    p = ar.rect(-y * cn_dn / below, im)

    real = N % 2  # the first one of each list is at u = 0
    y = 1 / (k * s[real:])
    z = ar.rect(xp.zeros_like(y), y)
    z, p = xp.concatenate([z, xp.conj(z)]), xp.concatenate([p, xp.conj(p[real:])])
    gain = (xp.prod(-p) / xp.prod(-z)).real
    return z, p, gain if real else gain / xp.sqrt(1 + eps2)


def _degree(ar, N, k1):
    """The modulus k with K′/K = K₁′/(N K₁), by the theta functions k = (ϑ₂/ϑ₃)²."""
    xp = ar.xp
    means = agm(xp, xp.stack([xp.sqrt((1 - k1) * (1 + k1)), k1]))
    log_q = -np.pi / N * means[0] / means[1]
    n = np.arange(NOME_TERMS)
    theta2 = xp.sum(xp.exp(log_q * ar.real(n * (n + 1))))
    theta3 = 1 + 2 * xp.sum(xp.exp(log_q * ar.real((n + 1) ** 2)))
    return 4 * xp.exp(log_q / 2) * (theta2 / theta3) ** 2


def agm(xp, b):
    """The arithmetic-geometric mean of 1 and b; K(k) = π / (2 agm(1, k′))."""

    def step(carry, _):
        a, b = carry
        return ((a + b) / 2, xp.sqrt(a * b)), None

    return loop(xp, step, (xp.ones_like(b), b), length=AGM_STEPS)[0][0]


def _landen(xp, k):
    """The descending moduli kₙ₊₁ = (kₙ / (1 + kₙ′))²: they vanish quadratically."""

    def step(k, _):
        k = (k / (1 + xp.sqrt((1 - k) * (1 + k)))) ** 2
        return k, k

    return loop(xp, step, k, length=LANDEN_STEPS)[1]


def _sn(xp, sine, moduli, square):
    """sn(uK, k) from sin(πu/2), its value at modulus 0, up through the moduli.

    With square = −1 the imaginary part of sn(ivK, k), from sinh(πv/2).
    """

    def step(sine, v):
        return (1 + v) * sine / (1 + square * v * sine * sine), None

    return loop(xp, step, sine, moduli[::-1])[0]


def _arc(xp, y, k, moduli):
    """πv/2 where sn(ivK, k) = iy: down through the moduli, to modulus 0."""

    def step(carry, v):
        y, k = carry
        return (2 * y / ((1 + v) * (1 + xp.sqrt(1 + (k * y) ** 2))), v), None

    return xp.arcsinh(loop(xp, step, (y, k), moduli)[0][0])
