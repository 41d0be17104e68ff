"""Notch, peak and comb filters: they remove or pass one frequency or its multiples."""

import numpy as np

from filters.iir.numeric import ArgumentError, arithmetic, evaluate, is_traced, sampling_frequency


class NotOneNumber(ArgumentError, TypeError):
    """An argument is several numbers instead of one: also a TypeError, as in scipy."""


def iirnotch(w0, Q, fs=2.0):
    """A second-order notch at w0, −3 dB at a distance of w0/2Q to either side.

        H(z) = g (1 − 2cos ω₀ z⁻¹ + z⁻²) / (1 − 2g cos ω₀ z⁻¹ + (2g − 1) z⁻²),
        g = 1 / (1 + tan(ω₀/2Q)),   ω₀ = 2π w0/fs

    Args:
        w0: the frequency to remove, in the unit of fs: 0 < w0 < fs/2.
        Q: w0 over the width of the notch; differentiable, as w0 and fs.
        fs: sampling frequency.

    Returns:
        b, a, (3,) each.

    Raises:
        ValueError: w0 is not between 0 and fs/2, or Q is not above 0.
        TypeError: an argument is several numbers instead of one.

    Reference: S. J. Orfanidis, *Introduction to Signal Processing*, 1996, sec. 11.3.

    >>> b, a = iirnotch(0.25, 1.0)
    >>> b.round(4).tolist(), a.round(4).tolist()
    ([0.7071, -1.0, 0.7071], [1.0, -1.0, 0.4142])
    """
    return _second_order(w0, Q, fs, notch=True)


def iirpeak(w0, Q, fs=2.0):
    """A second-order peak at w0, of gain 1, −3 dB at a distance of w0/2Q to either side.

        H(z) = (1 − g) (1 − z⁻²) / (1 − 2g cos ω₀ z⁻¹ + (2g − 1) z⁻²)

    Args, returns, errors and reference as `iirnotch`.

    >>> b, a = iirpeak(0.25, 1.0)
    >>> b.round(4).tolist(), a.round(4).tolist()
    ([0.2929, 0.0, -0.2929], [1.0, -1.0, 0.4142])
    """
    return _second_order(w0, Q, fs, notch=False)


def _second_order(w0, Q, fs, notch):
    fs = _check_arguments(w0, Q, fs)

    def design(w0, Q, fs):
        ar = arithmetic(w0, Q, fs)
        xp = ar.xp
        w0, Q = 2 * np.pi * ar.real(w0) / ar.real(fs), ar.real(Q)
        g = 1 / (1 + xp.tan(w0 / (2 * Q)))
        cos, one = xp.cos(w0), xp.ones_like(g)
        b = xp.stack([g, -2 * g * cos, g] if notch else [1 - g, 0 * g, g - 1])
        return b, xp.stack([one, -2 * g * cos, 2 * g - 1])

    return evaluate(design, w0, Q, fs)


def iircomb(w0, Q, ftype="notch", fs=2.0, *, pass_zero=False):
    """Notches or peaks at the multiples of w0, each w0/Q wide.

        H(z) = (β₀ ± β₁ z⁻ᴺ) / (1 ± α z⁻ᴺ),   N = fs/w0,   α = (1 − τ)/(1 + τ),
        τ = tan(π/2Q),   notch: β₀ = −β₁·(−1) = 1/(1 + τ);   peak: β₀ = −β₁ = τ/(1 + τ)

    Args:
        w0: the spacing, in the unit of fs, which it divides. Static: it gives the order.
        Q: w0 over the width of each; differentiable.
        ftype: "notch" or "peak".
        fs: sampling frequency. Static.
        pass_zero: whether the gain at 0 is 1; if not, a notch stands there, and the
            peaks stand between the multiples of w0 where ftype is "peak" and it is true.

    Returns:
        b, a, (N+1,) each.

    Raises:
        ValueError: w0 is not between 0 and fs/2 or does not divide fs, Q is not above 0,
            or the ftype is unknown.

    Reference: Orfanidis 1996, sec. 11.5; `scipy.signal.iircomb`.

    >>> b, a = iircomb(0.5, 2.0)
    >>> b.round(4).tolist(), a.round(4).tolist()
    ([0.5, 0.0, 0.0, 0.0, -0.5], [1.0, 0.0, 0.0, 0.0, -0.0])
    """
    if is_traced(w0, fs):
        raise ArgumentError(
            "w0", "expected static w0 and fs, which give the order, got a traced value"
        )
    fs = _check_arguments(w0, Q, fs)
    kind = str(ftype).lower()
    if kind not in ("notch", "peak"):
        raise ValueError(f"ftype: ftype must be either notch or peak, got {ftype!r}")
    w0, fs = float(w0), float(fs)
    N = round(fs / w0)
    if abs(w0 - fs / N) / fs > 1e-14:
        raise ArgumentError("w0", f"fs must be divisible by w0, got fs = {fs}, w0 = {w0}")

    def design(Q):
        ar = arithmetic(Q)
        tau = ar.xp.tan(np.pi / 2 / ar.real(Q))
        sign = -1 if (kind == "peak") == bool(pass_zero) else 1
        if kind == "notch":
            first, last = 1 / (1 + tau), 1 / (1 + tau)
        else:
            first, last = tau / (1 + tau), -tau / (1 + tau)
        between = ar.xp.zeros(N - 1, ar.real_dtype)

        def ends(one, other):
            return ar.xp.concatenate([one[None], between, sign * other[None]])

        return ends(first, last), ends(ar.real(1), (1 - tau) / (1 + tau))

    return evaluate(design, Q)


def _check_arguments(w0, Q, fs):
    fs = sampling_frequency(fs, allow_none=False)
    for name, value in (("w0", w0), ("Q", Q)):
        if np.shape(value) != ():
            raise NotOneNumber(name, f"expected one number, got shape {np.shape(value)}")
        if isinstance(value, str):
            raise ArgumentError(name, f"expected a number, got {value!r}")
    if not is_traced(w0, fs) and not 0 < float(w0) < float(fs) / 2:
        raise ArgumentError(
            "w0", f"w0 must be between 0 and {float(fs) / 2} (Nyquist, fs/2), got {w0}"
        )
    if not is_traced(Q) and not float(Q) > 0:
        raise ValueError(f"Q: expected a quality factor above 0, got {Q}")
    return fs
