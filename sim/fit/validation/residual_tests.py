"""What a model has left in its residuals: are they white, do they still hold the input.

NumPy, in float64: tests are read, not differentiated. A residual that is not white says
that the noise is not modelled, one that holds the input that the dynamics are not.
"""

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from scipy.special import chdtrc

from sim.records.columns import as_columns, check_same_lengths


class Whiteness(NamedTuple):
    """Autocorrelations of residuals (T,); of (T, outputs) all but lags have that axis last.

    Attributes:
        lags: 1 … L.
        correlation: r at each lag.
        bound: |r| ≤ bound at each lag of white noise, with the probability level.
        p: of a Ljung-Box statistic at least so large, were the residual white.
        level: the probability asked for.
    """

    lags: Any
    correlation: Any
    bound: Any
    p: Any
    level: float

    @property
    def words(self) -> str:
        """What is wrong, output by output, or that nothing is."""
        r, bound = (np.reshape(x, (len(self.lags), -1)) for x in (self.correlation, self.bound))
        found = []
        for i, p in enumerate(np.ravel(self.p)):
            if p < 1 - self.level:
                name = "residual" if np.ndim(self.p) == 0 else f"residual of output {i}"
                fault = _worst(self.lags, r[:, i], bound[:, i], self.level)
                found.append(f"{name} not white: {fault}")
        return "; ".join(found) or f"residual white at {_percent(self.level)}"


class CrossCorrelation(NamedTuple):
    """Correlations of eₜ₊ₖ with uₜ; where e or u has columns, (…, outputs, inputs) come last.

    Attributes:
        lags: −L … L; positive is the residual after the input.
        correlation: r at each lag.
        bound: |r| ≤ bound, one for all lags, had the two nothing in common.
        p: of a χ² of the lags 0 … L at least so large, had they nothing in common.
        p_feedback: the same of the lags −L … −1: small where the input follows the output.
        level: the probability asked for.
    """

    lags: Any
    correlation: Any
    bound: Any
    p: Any
    p_feedback: Any
    level: float

    @property
    def words(self) -> str:
        """What is wrong, output by output and input by input, or that nothing is."""
        found, shape = [], np.shape(self.p)
        r = np.reshape(self.correlation, (len(self.lags), -1))
        for i, (bound, p, back) in enumerate(
            zip(*(np.ravel(x) for x in (self.bound, self.p, self.p_feedback)), strict=True)
        ):
            where = f" {tuple(map(int, np.unravel_index(i, shape)))}" if shape else ""
            for chance, part, fault in (
                (p, self.lags >= 0, "the input is not all modelled"),
                (back, self.lags < 0, "the input follows the output (feedback)"),
            ):
                if chance < 1 - self.level:
                    worst = _worst(self.lags[part], r[part, i], bound, self.level)
                    found.append(f"residual and input{where} correlated: {worst}: {fault}")
        return "; ".join(found) or f"residual and input uncorrelated at {_percent(self.level)}"


def whiteness(residual, lags: int = 25, *, fitted: int = 0, level: float = 0.95) -> Whiteness:
    """rₖ = Σ eₜ eₜ₊ₖ / Σ eₜ²,   |rₖ| ≤ q √(nₖ / N(N+2)),   Q = N(N+2) Σ rₖ² / nₖ ~ χ²

    The mean is taken off first. With gaps the sums are over the pairs seen, nₖ of them.

    Args:
        residual: measured less modelled, shape (T,) or (T, outputs); NaN is missing.
        lags: L, how many.
        fitted: parameters of a noise model fitted to the record, taken off Q's degrees.
        level: the probability of each bound, and of calling white noise white.

    Returns:
        `Whiteness`; a residual that never varies is white.

    Raises:
        ValueError: lags are not above fitted or not below T, or level is no probability.

    Reference: G. M. Ljung and G. E. P. Box, Biometrika 65 (1978) 297-303.

    >>> e = np.random.default_rng(0).normal(size=400)
    >>> whiteness(e).words
    'residual white at 95 %'
    >>> whiteness(e[1:] + e[:-1]).words
    'residual not white: lag 1 has 0.49, bound 0.098 at 95 %'
    """
    shape = np.shape(residual)[1:]
    e, seen = _centre(as_columns("residual", residual))
    _check(lags, level, len(e))
    if not 0 <= fitted < lags:
        raise ValueError(f"fitted: expected at least 0 and below the {lags} lags, got {fitted}")
    count, power = seen.sum(axis=0), np.sum(e * e, axis=0)
    products = np.stack([np.sum(e[:-k] * e[k:], axis=0) for k in range(1, lags + 1)])
    pairs = np.stack([np.sum(seen[:-k] & seen[k:], axis=0) for k in range(1, lags + 1)])
    r = _over(products, power)
    Q = count * (count + 2) * np.sum(_over(r**2, pairs), axis=0)
    bound = _quantile(level) * np.sqrt(_over(pairs, count * (count + 2)))
    p = chdtrc(lags - fitted, Q)
    return Whiteness(
        np.arange(1, lags + 1),
        r.reshape(lags, *shape),
        bound.reshape(lags, *shape),
        p.reshape(shape),
        level,
    )


def cross_correlation(residual, u, lags: int = 25, *, level: float = 0.95) -> CrossCorrelation:
    """rₖ = Σ eₜ₊ₖ uₜ / √(Σ e² Σ u²),   |rₖ| ≤ q √(P / N),   P = Σⱼ ρₑ(j) ρᵤ(j)

    The bound holds for coloured residuals and inputs. So does the χ², which weighs the
    correlations by the inverse of their covariance, over the directions that the input
    excites. The means are taken off first, and what is missing is left out of the sums.

    Args:
        residual: measured less modelled, shape (T,) or (T, outputs); NaN is missing.
        u: the input at the same samples, shape (T,) or (T, inputs); NaN is missing.
        lags: L, how many on each side.
        level: the probability of each bound, and of calling unrelated records unrelated.

    Returns:
        `CrossCorrelation`.

    Raises:
        ValueError: the lengths differ, an input is constant, lags are not below T/2, or
            level is no probability.

    Reference: L. Ljung, "System Identification: Theory for the User", 2nd ed.,
    Prentice-Hall 1999, section 16.6.

    >>> e, u = np.random.default_rng(1).normal(size=(2, 400))
    >>> cross_correlation(e, u).words
    'residual and input uncorrelated at 95 %'
    >>> cross_correlation(e[2:] + 0.3 * u[:-2], u[2:]).words.split(":")[1]
    ' lag 2 has 0.29, bound 0.097 at 95 %'
    """
    e, inputs = as_columns("residual", residual), as_columns("u", u)
    check_same_lengths("residual", [e], "u", [inputs])
    _check(lags, level, len(e) // 2)
    found = [[_cross(a, b, i, lags) for i, b in enumerate(inputs.T)] for a in e.T]
    shape = np.shape(residual)[1:] + np.shape(u)[1:]
    r, deviation, p, back = (np.array([[x[k] for x in row] for row in found]) for k in range(4))
    return CrossCorrelation(
        np.arange(-lags, lags + 1),
        np.moveaxis(r, -1, 0).reshape(-1, *shape),
        _quantile(level) * deviation.reshape(shape),
        p.reshape(shape),
        back.reshape(shape),
        level,
    )


def _cross(e, u, name, lags):
    """r at lags −L … L, its standard deviation, and p of either side, for two series."""
    (e, seen), (u, _), n = _centre(e), _centre(u), len(e)
    power_e, power_u = np.sum(e * e), np.sum(u * u)
    if not power_u > 0:
        raise ValueError(f"u: expected an input that varies, got input {name} constant")
    if not power_e > 0:
        return np.zeros(2 * lags + 1), 0.0, 1.0, 1.0
    size = 1 << (2 * n - 1).bit_length()
    fe, fu, fs = (np.fft.rfft(x, size) for x in (e, u, seen.astype(float)))
    Ce, Cu, pairs = (np.fft.irfft(abs(f) ** 2, size)[:n] for f in (fe, fu, fs))
    # Distant lags of the residual would only add noise to the sums, and the taper keeps
    # them positive.
    Ce *= np.maximum(1 - np.arange(n) / max(n // 10, lags + 1), 0)
    P = (2 * Ce @ Cu - Ce[0] * Cu[0]) / n
    Re = Ce / np.maximum(np.round(pairs), 1)
    Re = np.fft.rfft(np.concatenate([Re, np.zeros(size - 2 * n + 1), Re[:0:-1]])).real
    p = _p(e, u, seen, Re, np.arange(lags + 1))
    back = _p(e[::-1], u[::-1], seen[::-1], Re, np.arange(1, lags + 1))
    raw = np.fft.irfft(fe * fu.conj(), size)
    scale = np.sqrt(power_e * power_u)
    return np.concatenate([raw[-lags:], raw[: lags + 1]]) / scale, np.sqrt(P) / scale, p, back


def _p(e, u, seen, spectrum, delays):
    """P(χ² at least cᵀ P⁺ c) for c = Uᵀ e, whose covariance is P = Uᵀ R U."""
    start = delays[-1]
    U = np.stack([u[start - k : len(u) - k] for k in delays], axis=1) * seen[start:, None]
    size = 2 * (len(spectrum) - 1)
    RU = np.fft.irfft(np.fft.rfft(U, size, axis=0) * spectrum[:, None], size, axis=0)[: len(U)]
    values, vectors = np.linalg.eigh(U.T @ RU)
    kept = values > 1e-6 * values[-1]
    return chdtrc(kept.sum(), np.sum((e[start:] @ U @ vectors[:, kept]) ** 2 / values[kept]))


def _centre(x):
    seen = ~np.isnan(x)
    mean = _over(np.sum(np.where(seen, x, 0), axis=0), seen.sum(axis=0))
    centred = np.where(seen, x - mean, 0)
    # A constant less its mean is rounding, not a series.
    flat = np.max(abs(centred), axis=0) <= 1e-14 * abs(mean)
    return np.where(flat, 0, centred), seen


def _over(x, y):
    return np.where(y > 0, x / np.where(y > 0, y, 1), 0)


def _worst(lags, r, bound, level):
    bound = np.broadcast_to(bound, r.shape)
    k = np.argmax(abs(r) / np.where(bound > 0, bound, np.inf))
    if abs(r[k]) <= bound[k]:
        return f"lags {lags[0]} to {lags[-1]} together, none outside its bound at {_percent(level)}"
    return f"lag {lags[k]} has {r[k]:.2g}, bound {bound[k]:.2g} at {_percent(level)}"


def _percent(level):
    return f"{100 * level:g} %"


def _quantile(level):
    return NormalDist().inv_cdf(0.5 + 0.5 * level)


def _check(lags, level, below):
    if isinstance(lags, bool) or not isinstance(lags, int | np.integer) or not 0 < lags < below:
        raise ValueError(f"lags: expected an integer from 1 to {below - 1}, got {lags!r}")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a probability between 0 and 1, got {level}")
