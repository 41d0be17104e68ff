"""The lowest order, and its critical frequencies, that meet a specification.

A specification allows a loss of at most gpass dB in the pass band and asks for at least
gstop dB of attenuation in the stop band. For the low-pass prototype it becomes two numbers,
the selectivity of the edges and the discrimination of the levels,

    κ = ωs/ωp,   δ² = (10^(gstop/10) − 1) / (10^(gpass/10) − 1)

and the order of each family is the quotient of a function of δ and the same function of κ.
An order gives the shape of arrays, so NumPy computes it from numbers. The design itself
differentiates in Wn.
"""

import math
from typing import NamedTuple

import numpy as np

from filters.iir.design.elliptic import agm
from filters.iir.design.iirfilter import KINDS, iirfilter
from filters.iir.design.prototypes import LN10
from filters.iir.numeric import is_traced, sampling_frequency

BANDS = {1: ("lowpass", "highpass"), 2: ("bandstop", "bandpass")}  # by the number of edges


class Specification(NamedTuple):
    """The specification of the prototype: κ and δ, and the edges of its pass band in rad/s."""

    band: str
    passband: np.ndarray  # (1,) or (2,)
    selectivity: float
    discrimination: float
    ripple: float  # 10^(gpass/10) − 1
    nyquist: float  # ∞ of an analog filter


def buttord(wp, ws, gpass, gstop, analog=False, fs=None):
    """Order and −3 dB frequencies of the Butterworth filter for a specification.

        N = ⌈log δ / log κ⌉,   Wn = (10^(gpass/10) − 1)^(−1/2N) ωp

    Args:
        wp, ws: edges of the pass band and of the stop band, one number each (low-pass if
            wp < ws, else high-pass) or two (one band within the other): fractions of the
            Nyquist frequency, in the unit of fs if that is given, in rad/s if analog.
        gpass, gstop: the most that the pass band may lose and the least attenuation of the
            stop band, in dB.
        analog: whether the filter stays in the s plane.
        fs: sampling frequency.

    Returns:
        N and Wn, one number or (2,), for `butter`, in the units of wp.

    Raises:
        ValueError: an edge out of range or traced, bands that do not lie one in the other,
            gpass not below gstop, or one of them not above 0.

    The pass band of a band-stop is widened until both transitions are equally steep, which
    lowers N. scipy searches for these edges to 1e-5; here they are exact.

    Reference: Parks and Burrus, *Digital Filter Design*, Wiley 1987, ch. 7.

    >>> N, Wn = buttord(0.2, 0.3, 3.0, 40.0)
    >>> N, round(float(Wn), 4)
    (11, 0.2)
    """
    spec = _check_specification(wp, ws, gpass, gstop, analog, fs)
    N = math.ceil(math.log10(spec.discrimination) / math.log10(spec.selectivity))
    return N, _natural(spec, spec.ripple ** (-1 / (2 * N)))


def cheb1ord(wp, ws, gpass, gstop, analog=False, fs=None):
    """Order and edges of the Chebyshev filter of type 1: N = ⌈acosh δ / acosh κ⌉, Wn = ωp.

    Args, returns (for `cheby1`), errors and reference as `buttord`.

    >>> cheb1ord(0.2, 0.3, 3.0, 40.0)[0]
    6
    """
    spec = _check_specification(wp, ws, gpass, gstop, analog, fs)
    N = math.ceil(math.acosh(spec.discrimination) / math.acosh(spec.selectivity))
    return N, _natural(spec, 1.0)


def cheb2ord(wp, ws, gpass, gstop, analog=False, fs=None):
    """Order and stop edges of the Chebyshev filter of type 2, whose order is that of type 1.

        N = ⌈acosh δ / acosh κ⌉,   Wn = cosh(acosh(δ)/N) ωp

    Args, returns (for `cheby2`), errors and reference as `buttord`.

    >>> N, Wn = cheb2ord(0.2, 0.3, 3.0, 40.0)
    >>> N, round(float(Wn), 4)
    (6, 0.2746)
    """
    spec = _check_specification(wp, ws, gpass, gstop, analog, fs)
    levels = math.acosh(spec.discrimination)
    N = math.ceil(levels / math.acosh(spec.selectivity))
    return N, _natural(spec, math.cosh(levels / N))


def ellipord(wp, ws, gpass, gstop, analog=False, fs=None):
    """Order and edges of the elliptic filter: the degree equation, solved for N.

        N = ⌈K(1/κ) K′(1/δ) / (K′(1/κ) K(1/δ))⌉,   Wn = ωp

    with the complete elliptic integrals K and K′ of a modulus.

    Args, returns (for `ellip`), errors and reference as `buttord`.

    >>> ellipord(0.2, 0.3, 3.0, 40.0)[0]
    4
    """
    spec = _check_specification(wp, ws, gpass, gstop, analog, fs)

    def ratio(k):  # K/K′, as K(k) = π / (2 agm(1, k′))
        k_agm, complement_agm = agm(np, np.array([k, math.sqrt((1 - k) * (1 + k))]))
        return k_agm / complement_agm

    N = math.ceil(ratio(1 / spec.selectivity) / ratio(1 / spec.discrimination))
    return N, _natural(spec, 1.0)


ORDERS = {"butter": buttord, "cheby1": cheb1ord, "cheby2": cheb2ord, "ellip": ellipord}


def iirdesign(wp, ws, gpass, gstop, analog=False, ftype="ellip", output="ba", fs=None):
    """The filter of lowest order that meets a specification.

    Args:
        wp, ws, gpass, gstop, analog, fs: as `buttord`.
        ftype, output: as `iirfilter`, which says what is returned; Bessel has no order.

    Reference: `scipy.signal.iirdesign`.

    >>> iirdesign(0.2, 0.3, 1.0, 40.0, output="sos").shape
    (2, 6)
    """
    kind = KINDS.get(str(ftype).lower())
    if kind not in ORDERS:
        why = "does not have order selection" if kind else "is an invalid IIR filter type"
        raise ValueError(f"ftype: {ftype!r} {why}, expected one of {[*ORDERS]}")
    band = _check_specification(wp, ws, gpass, gstop, analog, fs).band
    N, Wn = ORDERS[kind](wp, ws, gpass, gstop, analog, fs)
    return iirfilter(N, Wn, gpass, gstop, band, analog, kind, output, fs)


def _check_specification(wp, ws, gpass, gstop, analog, fs):
    """The specification of the prototype; ValueError unless the arguments make one."""
    given = {"wp": wp, "ws": ws, "gpass": gpass, "gstop": gstop, "fs": fs}
    for name in (name for name, value in given.items() if is_traced(value)):
        raise ValueError(f"{name}: expected numbers, which give the order, got a traced value")
    fs = sampling_frequency(fs)
    for name, value in (("gpass", gpass), ("gstop", gstop)):
        if np.shape(value) or not value > 0:
            raise ValueError(f"{name}: {name} should be larger than 0.0, got {value}")
    if not gpass < gstop:
        raise ValueError(f"gpass: gpass should be smaller than gstop, got {gpass} and {gstop}")
    if analog and fs is not None:
        raise ValueError(f"fs: fs cannot be specified for an analog filter, got {fs}")
    p, s = (np.atleast_1d(np.asarray(w, float)) for w in (wp, ws))
    if p.shape != s.shape or p.shape not in ((1,), (2,)):
        words = "wp and ws must have one or two elements each, and the same shape"
        raise ValueError(f"wp: {words}, got {p.shape} and {s.shape}")
    nyquist = np.inf if analog else 1.0 if fs is None else float(fs) / 2
    limit = f"fs/2 (fs={fs} -> fs/2={nyquist})" if fs is not None else f"{nyquist:g}"
    for name, w in (("wp", p), ("ws", s)):
        if not np.all(w > 0):
            raise ValueError(f"{name}: Values for wp, ws must be greater than 0, got {w}")
        if not np.all(w < nyquist):
            raise ValueError(f"{name}: Values for wp, ws must be less than {limit}, got {w}")
    if not analog:
        p, s = (np.tan(np.pi / 2 * (w / nyquist)) for w in (p, s))
    below = p[0] < s[0]
    words = f"Passband must lie strictly inside stopband or vice versa, got {wp} and {ws}"
    if np.any(p == s) or len(p) == 2 and (s[1] < p[1]) != below:
        raise ValueError(f"wp: {words}")
    band = BANDS[len(p)][0 if below else 1]
    if band == "bandstop":  # κ is largest where p₀p₁ = s₀s₁: one edge moves inward to it
        p = np.array([max(p[0], s[0] * s[1] / p[1]), min(p[1], s[0] * s[1] / p[0])])
    low = s / p if len(p) == 1 else (s * s - p[0] * p[1]) / (s * (p[1] - p[0]))
    inverted = band in ("highpass", "bandstop")
    selectivity = float(np.min(np.abs(1 / low if inverted else low)))
    if not selectivity > 1:
        raise ValueError(f"wp: {words}, which rounding makes one")
    ripple, stop = (math.expm1(LN10 / 10 * value) for value in (gpass, gstop))
    return Specification(band, p, selectivity, math.sqrt(stop / ripple), ripple, nyquist)


def _natural(spec, ratio):
    """The edges of the filter whose prototype has its edge at ``ratio`` times the pass band's."""
    p = spec.passband
    if spec.band in ("lowpass", "highpass"):
        w = p[0] * ratio if spec.band == "lowpass" else p[0] / ratio
    else:
        half = (p[1] - p[0]) / 2
        half = half * ratio if spec.band == "bandpass" else half / ratio
        high = half + math.hypot(half, math.sqrt(p[0] * p[1]))
        w = np.array([p[0] * p[1] / high, high])
    return w if np.isinf(spec.nyquist) else np.arctan(w) * (2 / np.pi * spec.nyquist)
