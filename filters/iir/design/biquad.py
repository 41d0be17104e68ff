"""The audio biquads: one second-order section each, from a frequency, Q and a gain.

With w = 2π w0/fs, c = cos w, α = sin w / 2Q and A = 10^(gain/40), the formulas of
R. Bristow-Johnson, *Audio EQ Cookbook*, W3C Group Note 2021, divided by a₀.

Each returns sos of shape (n, 6): one row, or one for each of n frequencies, Qs or
gains, which broadcast; as `sos` the rows are a cascade, such as an equaliser. They
differentiate in all arguments, and raise ValueError unless w0 is between 0 and fs/2 and Q
is above 0.
"""

import numpy as np

from filters.iir.numeric import ArgumentError, arithmetic, evaluate, is_traced, sampling_frequency

BUTTERWORTH = float(np.sqrt(0.5))


def biquad_lowpass(w0, Q=BUTTERWORTH, fs=2.0):
    """Low-pass: b = (1−c)/2, 1−c, (1−c)/2; a = 1+α, −2c, 1−α. At w0 the gain is Q.

    >>> biquad_lowpass(0.5).round(4).tolist()
    [[0.2929, 0.5858, 0.2929, 1.0, -0.0, 0.1716]]
    """

    def formulas(c, alpha, A, xp):
        return ((1 - c) / 2, 1 - c, (1 - c) / 2), _resonance(c, alpha)

    return _rows(formulas, w0, Q, 0.0, fs)


def biquad_highpass(w0, Q=BUTTERWORTH, fs=2.0):
    """High-pass: b = (1+c)/2, −(1+c), (1+c)/2; a = 1+α, −2c, 1−α. At w0 the gain is Q.

    >>> biquad_highpass(0.5).round(4).tolist()
    [[0.2929, -0.5858, 0.2929, 1.0, -0.0, 0.1716]]
    """

    def formulas(c, alpha, A, xp):
        return ((1 + c) / 2, -1 - c, (1 + c) / 2), _resonance(c, alpha)

    return _rows(formulas, w0, Q, 0.0, fs)


def biquad_bandpass(w0, Q, fs=2.0):
    """Band-pass of gain 1 at w0: b = α, 0, −α; a = 1+α, −2c, 1−α.

    >>> biquad_bandpass(0.5, 0.5).round(4).tolist()
    [[0.5, 0.0, -0.5, 1.0, -0.0, 0.0]]
    """

    def formulas(c, alpha, A, xp):
        return (alpha, 0 * alpha, -alpha), _resonance(c, alpha)

    return _rows(formulas, w0, Q, 0.0, fs)


def biquad_notch(w0, Q, fs=2.0):
    """Notch, of gain 0 at w0: b = 1, −2c, 1; a = 1+α, −2c, 1−α.

    >>> biquad_notch(0.5, 0.5).round(4).tolist()
    [[0.5, -0.0, 0.5, 1.0, -0.0, 0.0]]
    """

    def formulas(c, alpha, A, xp):
        one = xp.ones_like(c)
        return (one, -2 * c, one), _resonance(c, alpha)

    return _rows(formulas, w0, Q, 0.0, fs)


def biquad_allpass(w0, Q=BUTTERWORTH, fs=2.0):
    """All-pass of phase −π at w0: b = 1−α, −2c, 1+α; a = 1+α, −2c, 1−α.

    >>> biquad_allpass(0.5, 1.0).round(4).tolist()
    [[0.3333, -0.0, 1.0, 1.0, -0.0, 0.3333]]
    """

    def formulas(c, alpha, A, xp):
        return (1 - alpha, -2 * c, 1 + alpha), _resonance(c, alpha)

    return _rows(formulas, w0, Q, 0.0, fs)


def biquad_peaking(w0, Q, gain, fs=2.0):
    """A peak (or dip) of gain dB at w0: b = 1+αA, −2c, 1−αA; a = 1+α/A, −2c, 1−α/A.

    >>> biquad_peaking(0.5, 1.0, 0.0).round(4).tolist()
    [[1.0, -0.0, 0.3333, 1.0, -0.0, 0.3333]]
    """

    def formulas(c, alpha, A, xp):
        return (1 + alpha * A, -2 * c, 1 - alpha * A), _resonance(c, alpha / A)

    return _rows(formulas, w0, Q, gain, fs)


def biquad_lowshelf(w0, gain, Q=BUTTERWORTH, fs=2.0):
    """gain dB at the frequencies below w0, half of it at w0, none above.

        b = A((A+1)−(A−1)c+β), 2A((A−1)−(A+1)c), A((A+1)−(A−1)c−β)
        a = (A+1)+(A−1)c+β, −2((A−1)+(A+1)c), (A+1)+(A−1)c−β,   β = 2√A α

    >>> sos = biquad_lowshelf(0.5, 6.0)
    >>> round(float(sos[0, :3].sum() / sos[0, 3:].sum()), 4), round(10 ** (6 / 20), 4)
    (1.9953, 1.9953)
    """
    return _rows(_shelf(1), w0, Q, gain, fs)


def biquad_highshelf(w0, gain, Q=BUTTERWORTH, fs=2.0):
    """gain dB at the frequencies above w0, half of it at w0, none below.

        b = A((A+1)+(A−1)c+β), −2A((A−1)+(A+1)c), A((A+1)+(A−1)c−β)
        a = (A+1)−(A−1)c+β, 2((A−1)−(A+1)c), (A+1)−(A−1)c−β,   β = 2√A α

    >>> sos = biquad_highshelf(0.5, 6.0)
    >>> bool(np.isclose(sos[0, :3].sum(), sos[0, 3:].sum()))
    True
    """
    return _rows(_shelf(-1), w0, Q, gain, fs)


def _shelf(side):
    """The low shelf (side 1), and its mirror image in frequency, the high shelf (−1)."""

    def formulas(c, alpha, A, xp):
        c, beta = side * c, 2 * xp.sqrt(A) * alpha
        up, down = A + 1, A - 1
        b = A * (up - down * c + beta), side * 2 * A * (down - up * c), A * (up - down * c - beta)
        a = up + down * c + beta, side * -2 * (down + up * c), up + down * c - beta
        return b, a

    return formulas


def _resonance(c, alpha):
    return 1 + alpha, -2 * c, 1 - alpha


def _rows(formulas, w0, Q, gain, fs):
    fs = sampling_frequency(fs, allow_none=False)
    if not is_traced(w0, fs):
        frequencies = np.asarray(w0, float)
        if not np.all((frequencies > 0) & (frequencies < float(fs) / 2)):
            raise ArgumentError(
                "w0", f"expected between 0 and {float(fs) / 2} (Nyquist, fs/2), got {w0}"
            )
    if not is_traced(Q) and not np.all(np.asarray(Q, float) > 0):
        raise ValueError(f"Q: expected a quality factor above 0, got {Q}")

    def design(w0, Q, gain, fs):
        ar = arithmetic(w0, Q, gain, fs)
        xp = ar.xp
        w0, Q, gain = (ar.real(x).reshape(-1) for x in (w0, Q, gain))
        w0, Q, gain = xp.broadcast_arrays(w0, Q, gain)
        w = 2 * np.pi * w0 / ar.real(fs)
        A = xp.exp(gain * (np.log(10.0) / 40).item())
        b, a = formulas(xp.cos(w), xp.sin(w) / (2 * Q), A, xp)
        return xp.stack([*b, *a], axis=1) / a[0][:, None]

    return evaluate(design, w0, Q, gain, fs)
