"""The best linear approximation: a frequency response, with its variance from noise and from
nonlinear distortion.

NumPy, in float64: it shows what a model must explain, and is not differentiated.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sim import check
from sim.records.columns import as_records, check_finite, check_same_lengths

# Lines in a local polynomial: six coefficients leave eleven degrees of freedom for the variance.
WINDOW = 17


class BestLinear(NamedTuple):
    """A frequency response with its variances, (F,) or (F, outputs) at F lines.

    Attributes:
        frequency: in Hz, (F,).
        response: G, complex, in units of y over u.
        noise_variance: of G, from the differences between periods; NaN where no period is
            repeated.
        total_variance: of G, by noise and nonlinear distortion together, from the differences
            between realisations, or around a line of a random record; NaN for a single
            periodic one. Its excess over noise_variance, times the number of realisations, is
            the variance of the stochastic nonlinear distortion of one realisation.
    """

    frequency: Any
    response: Any
    noise_variance: Any
    total_variance: Any


def best_linear(
    u: Any,
    y: Any,
    dt: float,
    *,
    period: int | None = None,
    settle: int = 0,
    harmonics: Sequence[int] | None = None,
) -> BestLinear:
    """G = mean over realisations of Ȳ / Ū, with means over periods; or by local polynomials.

    With a period, each record is a realisation of whole periods (the robust method): the
    variance between periods is that of the noise, the variance between realisations that of
    noise and nonlinear distortion. Without a period, the record is random and Y = G U + T
    around each line, where G and the transient T are parabolas in the frequency (the local
    polynomial method): the residual is noise and distortion together. The variances are of
    the mean and approximately circular: half of each is in the real part of G, half in the
    imaginary part.

    Args:
        u: one input, shape (T,) or (T, 1), or a list of records.
        y: output, shape (T,) or (T, outputs), or a list of as many.
        dt: the sample interval in s.
        period: samples in a period of a periodic input; None for a random one.
        settle: the number of periods at the start of each record that are left out.
        harmonics: the lines, whole multiples of 1 / (period dt), or of 1 / (T dt); None for
            those between 0 and half the sampling rate where the input has more than a
            millionth of the power of its strongest line.

    Returns:
        `BestLinear`.

    Raises:
        ValueError: a record has no whole period after settling, random records differ in
            length, the input has several columns or is constant, the input does not excite a
            line, a number is not finite, or there are too few samples.

    Reference: R. Pintelon and J. Schoukens, *System Identification: A Frequency Domain
    Approach*, 2nd ed. (2012), sections 4.3.1 (robust) and 7.2 (local polynomial).

    >>> u = np.tile(np.random.default_rng(0).normal(size=32), 4)
    >>> found = best_linear(u, 0.5 * np.roll(u, 1), dt=0.1, period=32)
    >>> abs(found.response[:3]).round(9).tolist(), found.frequency[:2].tolist()
    ([0.5, 0.5, 0.5], [0.3125, 0.625])
    """
    one_dimensional = np.ndim(y[0] if isinstance(y, list | tuple) else y) == 1
    us, ys = as_records("u", u), as_records("y", y)
    check_same_lengths("u", us, "y", ys)
    for name, xs in (("u", us), ("y", ys)):
        check_finite(name, xs, "take whole periods, or parts, without them")
    if us[0].shape[1] != 1:
        raise ValueError(f"u: expected one input, got {us[0].shape[1]} columns")
    if not dt > 0:
        raise ValueError(f"dt: expected a number above 0, got {dt}")
    if period is None:
        if len({len(y) for y in ys}) > 1:
            raise ValueError(f"y: expected records of one length, got {[len(y) for y in ys]}")
        size, settle = len(ys[0]), 0
        if size < 2 * WINDOW:
            raise ValueError(f"y: expected at least {2 * WINDOW} samples, got {size}")
    else:
        size = check.positive("period", period)
    Us, Ys = ([_spectra(x, size, settle) for x in xs] for xs in (us, ys))
    power = np.mean([np.abs(U.mean(axis=0)[:, 0]) ** 2 for U in Us], axis=0)
    lines = _choose_lines(power, size, harmonics)
    method = _robust_method if period is not None else _local_polynomial_method
    G, noise, total = zip(*(method(U, Y, lines) for U, Y in zip(Us, Ys, strict=True)), strict=True)
    count, mean = len(G), np.mean(G, axis=0)
    noise = np.mean(noise, axis=0) / count
    if period is None or count == 1:
        total = np.mean(total, axis=0) / count
    else:
        total = np.sum(abs(np.array(G) - mean) ** 2, axis=0) / (count * (count - 1))
    arrays = (x[:, 0] if one_dimensional else x for x in (mean, noise, total))
    return BestLinear(lines / (size * dt), *arrays)


def _spectra(x, period, settle):
    """The spectrum of each whole period, (periods, lines, k)."""
    count = len(x) // period - settle
    if period < 4 or settle < 0 or count < 1:
        raise ValueError(
            f"period, settle: expected a whole period of at least 4 samples after those left "
            f"out, got period {period} and settle {settle} in a record of {len(x)}"
        )
    whole = x[settle * period : (settle + count) * period].reshape(count, period, -1)
    return np.fft.rfft(whole, axis=1) / np.sqrt(period)


def _choose_lines(power, size, harmonics):
    last = (size - 1) // 2
    strongest = np.max(power[1 : last + 1])
    # Apart from its mean, the spectrum of a constant is rounding.
    if not strongest > 1e-24 * power[0]:
        raise ValueError("u: expected an input that varies, got a constant one")
    excited = np.flatnonzero(power > 1e-6 * strongest)
    excited = excited[(excited > 0) & (excited <= last)]
    if harmonics is None:
        return excited
    wanted = np.asarray(harmonics)
    absent = [int(h) for h in np.ravel(wanted) if h not in excited]
    if absent or wanted.ndim != 1 or not len(wanted):
        raise ValueError(
            f"harmonics: expected lines that the input excites, got {absent or wanted}"
        )
    return wanted.astype(int)


def _robust_method(U, Y, lines):
    """G of one realisation, its variance from the differences of the periods, and NaN for the
    total variance."""
    U, Y = U[:, lines], Y[:, lines]
    count, u, y = len(U), U.mean(axis=0), Y.mean(axis=0)
    G = y / u
    # e = Y − G U contains the noise of the input too, and its correlation with that of the output.
    spread = np.sum(abs(Y - G * U) ** 2, axis=0) / (count - 1) if count > 1 else np.nan
    return G, spread / (count * abs(u) ** 2), np.full(G.shape, np.nan)


def _local_polynomial_method(U, Y, lines):
    """G by parabolas over the lines around each one, NaN for the noise variance, and the total."""
    U, Y = U[0], Y[0]
    first = np.clip(lines - WINDOW // 2, 1, len(U) - WINDOW)
    rows = first[:, None] + np.arange(WINDOW)[None]
    r = (rows - lines[:, None]) / WINDOW
    powers = np.stack([np.ones_like(r), r, r**2], axis=-1)
    # Columns of similar size: the coefficients of G are in units of the input.
    scale = np.sqrt(np.mean(abs(U[rows]) ** 2, axis=1))
    K = np.concatenate([powers * (U[rows] / scale[:, None]), powers + 0j], axis=-1)
    inverse = np.linalg.pinv(K)
    theta = inverse @ Y[rows]
    spread = np.sum(abs(Y[rows] - K @ theta) ** 2, axis=1) / (WINDOW - K.shape[-1])
    gain = np.sum(abs(inverse[:, 0]) ** 2, axis=-1)[:, None]
    G = theta[:, 0] / scale
    return G, np.full(G.shape, np.nan), spread * gain / scale**2
