"""Frequency response and group delay of a filter in any of its forms."""

import operator
import warnings

import jax
import numpy as np

from filters.iir.numeric import arithmetic, is_traced, sampling_frequency

TWO_PI = 2 * np.pi


def freqz(b, a=1, worN=512, whole=False, plot=None, fs=TWO_PI, include_nyquist=False):
    """Frequency response of a digital filter.

        H(ω) = Σ bₖ e^{−iωk} / Σ aₖ e^{−iωk}

    Args:
        b: (n,) numerator, or (n, ...) with further axes that broadcast against the
            frequencies.
        a: (m,) denominator, likewise.
        worN: a number of frequencies, evenly spaced from 0, or the frequencies, in the
            unit of fs.
        whole: whether they go up to fs instead of fs/2.
        plot: called with w and h.
        fs: sampling frequency; by default w is in radians per sample.
        include_nyquist: whether the last is fs/2 (unless whole).

    Returns:
        w (N,), or of the shape of worN, and h, complex, of the same shape for one filter.

    Raises:
        ValueError: worN is negative, or fs is not one number.

    Reference: `scipy.signal.freqz`.

    >>> w, h = freqz([0.5, 0.5], worN=[0.0, 1.0], fs=2.0)
    >>> abs(h).round(6).tolist()
    [1.0, 0.0]
    """
    ar, w, fs = _frequencies((b, a), worN, whole, fs, include_nyquist and not whole)

    def value(c):
        c = ar.complex(c)
        c = c if c.ndim else c.reshape(1)
        waves = _waves(ar, w, len(c))
        return waves @ c if c.ndim == 1 else _sum_along(waves, c)

    h = value(b) / value(a)
    w = w * (fs / TWO_PI)
    if plot is not None:
        plot(w, h)
    return w, h


def freqs(b, a, worN=200, plot=None):
    """Frequency response of an analog filter.

        H(iω) = Σ bₖ (iω)^(n−k) / Σ aₖ (iω)^(m−k)

    Args:
        b, a: (n+1,), (m+1,) coefficients in s, highest power first.
        worN: a number of frequencies, spaced evenly in their logarithm over the decades
            around the poles and zeros; or the frequencies in rad/s, of any shape.
        plot: called with w and h.

    Returns:
        w (worN,), or of the shape of worN, and h, complex, of the same shape.

    Raises:
        ValueError: worN is a number where b and a are traced, so that their roots are not
            known.

    Reference: `scipy.signal.freqs`.

    >>> w, h = freqs([1.0], [1.0, 1.0], worN=[0.0, 1.0])
    >>> abs(h).round(4).tolist()
    [1.0, 0.7071]
    """
    worN = 200 if worN is None else worN
    ar = arithmetic(b, a, worN)
    try:
        N = operator.index(worN)
    except TypeError:
        worN = worN if isinstance(worN, jax.Array) else np.real(worN)
        w = ar.xp.atleast_1d(ar.real(worN))
    else:
        w = ar.real(_decades(b, a, N))
    s = ar.rect(ar.xp.zeros_like(w), w)

    def value(c):
        c, total = ar.complex(c).reshape(-1), ar.xp.zeros_like(s)
        for k in range(len(c)):
            total = total * s + c[k]
        return total

    h = value(b) / value(a)
    if plot is not None:
        plot(w, h)
    return w, h


def _decades(b, a, N):
    """N frequencies from the decade below the lowest pole or zero to that above the highest."""
    if is_traced(b, a):
        raise ValueError(f"worN: expected the frequencies where b and a are traced, got {N}")
    zeros, poles = (np.roots(np.ravel(np.asarray(c))).astype(complex) for c in (b, a))
    roots = np.append(poles if len(poles) else [-1000.0], zeros[np.abs(zeros) < 1e5])
    roots = roots[roots.imag >= 0]
    # A root at 0 counts as one at 1, as 0 has no decade.
    re, im = np.abs(roots.real + (np.abs(roots) < 1e-10)), roots.imag
    low = np.round(np.log10(0.1 * np.min(re + 2 * im)) - 0.5)
    high = np.round(np.log10(np.max(3 * re + 1.5 * im)) + 0.5)
    return np.logspace(low, high, N)


def freqz_sos(sos, worN=512, whole=False, fs=TWO_PI):
    """Frequency response of second-order sections: the product of theirs.

    Args:
        sos: (n_sections, 6), with a₀ = 1.
        worN, whole, fs: as `freqz`.

    Returns:
        w (N,), h (N,).

    Raises:
        ValueError: sos has another shape or no section, or an a₀ is not 1.

    Reference: `scipy.signal.freqz_sos`.

    >>> w, h = freqz_sos([[0.5, 0.5, 0.0, 1.0, 0.0, 0.0]] * 2, worN=[0.0, 0.5], fs=2.0)
    >>> abs(h).round(6).tolist()
    [1.0, 0.5]
    """
    ar, w, fs = _frequencies((sos,), worN, whole, fs)
    sos = ar.complex(sos)
    sos = sos if sos.ndim > 1 else sos.reshape(1, -1)
    if sos.ndim != 2:
        raise ValueError(f"sos: sos array must be 2D, got shape {sos.shape}")
    if sos.shape[1] != 6:
        raise ValueError(f"sos: sos array must be shape (n_sections, 6), got {sos.shape}")
    if not len(sos):
        raise ValueError("sos: Cannot compute frequencies with no sections")
    if not is_traced(sos) and not np.all(np.asarray(sos[:, 3]) == 1):
        raise ValueError(f"sos: sos[:, 3] should be all ones, got {sos[:, 3].real}")
    waves = _waves(ar, w, 3)
    h = ar.xp.prod((waves @ sos[:, :3].T) / (waves @ sos[:, 3:].T), axis=-1)
    return w * (fs / TWO_PI), h


def sosfreqz(sos, worN=512, whole=False, fs=TWO_PI):
    """The older name of `freqz_sos`.

    >>> sosfreqz([[0.5, 0.5, 0.0, 1.0, 0.0, 0.0]], worN=[0.0])[1].tolist()
    [(1+0j)]
    """
    return freqz_sos(sos, worN=worN, whole=whole, fs=fs)


def freqz_zpk(z, p, k, worN=512, whole=False, fs=TWO_PI):
    """Frequency response of zeros, poles and gain: k ∏(e^{iω} − zᵢ) / ∏(e^{iω} − pᵢ).

    Args:
        z, p, k: (n,) zeros, (m,) poles, the gain.
        worN, whole, fs: as `freqz`.

    Returns:
        w (N,), h (N,).

    Reference: `scipy.signal.freqz_zpk`.

    >>> w, h = freqz_zpk([-1.0], [], 0.5, worN=[0.0, 1.0], fs=2.0)
    >>> abs(h).round(6).tolist()
    [1.0, 0.0]
    """
    ar, w, fs = _frequencies((z, p, k), worN, whole, fs)
    on_circle = ar.rect(ar.xp.cos(w), ar.xp.sin(w))[..., None]
    z, p = (ar.complex(x).reshape(*(1,) * w.ndim, -1) for x in (z, p))
    h = ar.complex(k) * ar.xp.prod(on_circle - z, axis=-1) / ar.xp.prod(on_circle - p, axis=-1)
    return w * (fs / TWO_PI), h


def group_delay(system, w=512, whole=False, fs=TWO_PI):
    """Group delay in samples: the delay of the envelope of a narrow-band signal.

        τ(ω) = −dφ/dω = Re(Σ k cₖ e^{−iωk} / Σ cₖ e^{−iωk}) − m,   c = b * reversed ā

    Args:
        system: the pair (b, a), with a of length m + 1.
        w: a number of frequencies or the frequencies, as worN in `freqz`.
        whole, fs: as `freqz`.

    Returns:
        w (N,), the delay (N,): 0 where the response is 0 and has no delay. A (concrete)
        response that is nearly 0 gives a warning.

    Reference: J. O. Smith, *Introduction to Digital Filters*, "Numerical computation of
    group delay", 2007.

    >>> group_delay(([0.0, 0.0, 1.0], [1.0]), w=[0.5])[1].round(6).tolist()
    [2.0]
    """
    b, a = system
    ar, w, fs = _frequencies((b, a), w, whole, fs)
    xp = ar.xp
    b, a = (ar.complex(x).reshape(-1) for x in (b, a))
    c = xp.convolve(b, xp.conj(a[::-1]))
    waves = _waves(ar, w, len(c))
    num, den = waves @ (c * ar.complex(np.arange(len(c)))), waves @ c
    zero = den == 0
    delay = (num / xp.where(zero, xp.ones_like(den), den)).real - (len(a) - 1)
    delay = xp.where(zero, xp.zeros_like(delay), delay)
    if not is_traced(den, w):
        small = np.asarray(w)[np.abs(np.asarray(den)) < 10 * np.finfo(ar.real_dtype).eps]
        if len(small):
            listed = ", ".join(f"{x:.3f}" for x in small)
            warnings.warn(
                f"The group delay is singular, or nearly so, at frequencies [{listed}]",
                stacklevel=2,
            )
    return w * (fs / TWO_PI), delay


def _frequencies(system, worN, whole, fs, endpoint=False):
    """The arithmetic, the frequencies in radians per sample, and fs."""
    fs = sampling_frequency(fs, allow_none=False)
    worN = 512 if worN is None else worN
    ar = arithmetic(system, worN, fs)
    fs = ar.real(fs)
    try:
        N = operator.index(worN)
    except TypeError:
        if not isinstance(worN, jax.Array):
            worN = np.real(worN)
        return ar, TWO_PI * ar.xp.atleast_1d(ar.real(worN)) / fs, fs
    if N < 0:
        raise ValueError(f"worN: worN must be nonnegative, got {N}")
    return ar, ar.real(np.linspace(0, TWO_PI if whole else np.pi, N, endpoint=endpoint)), fs


def _waves(ar, w, n):
    """(…, n), e^{−iωk}."""
    angle = w[..., None] * ar.real(np.arange(n)).reshape(*(1,) * w.ndim, n)
    return ar.rect(ar.xp.cos(angle), -ar.xp.sin(angle))


def _sum_along(waves, c):
    """Σₖ waves[…, k] c[k], the frequencies along the last axes of c[k]."""
    n, *axes = c.shape
    ndim = max(len(axes), waves.ndim - 1)
    shape = waves.shape[:-1]
    waves = waves.reshape(*(1,) * (ndim - len(shape)), *shape, n)
    c = c.reshape(n, *(1,) * (ndim - len(axes)), *axes)
    return sum(waves[..., k] * c[k] for k in range(n))
