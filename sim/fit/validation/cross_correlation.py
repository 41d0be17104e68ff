"""Whether residuals still depend on the input: if they do, the dynamics are not all modelled.

NumPy, in float64: a test is read, not differentiated.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import chdtrc

from sim.fit.validation.residual_series import centre, check_test, describe_worst_lag, percent
from sim.records.columns import as_columns, check_same_lengths
from sim.white_noise import normal_quantile


class CrossCorrelation(NamedTuple):
    """Correlations of eₜ₊ₖ with uₜ; where e or u has columns, (…, outputs, inputs) come last.

    Attributes:
        lags: −L … L; positive is the residual after the input.
        correlation: r at each lag.
        bound: |r| ≤ bound, the same for all lags, with probability ``level`` if e and u are
            independent.
        p: the probability that independent e and u have a χ² of the lags 0 … L at least so large.
        p_feedback: the same for the lags −L … −1: small where the input follows the output.
        level: the probability of the bound, and that independent series pass.
    """

    lags: Any
    correlation: Any
    bound: Any
    p: Any
    p_feedback: Any
    level: float

    @property
    def words(self) -> str:
        """The verdict in words: each correlated pair of output and input, or that none is."""
        findings, shape = [], np.shape(self.p)
        r = np.reshape(self.correlation, (len(self.lags), -1))
        for i, (bound, p, back) in enumerate(
            zip(*(np.ravel(x) for x in (self.bound, self.p, self.p_feedback)), strict=True)
        ):
            where = f" {tuple(map(int, np.unravel_index(i, shape)))}" if shape else ""
            for probability, part, cause in (
                (p, self.lags >= 0, "the input is not all modelled"),
                (back, self.lags < 0, "the input follows the output (feedback)"),
            ):
                if probability < 1 - self.level:
                    worst = describe_worst_lag(self.lags[part], r[part, i], bound, self.level)
                    findings.append(f"residual and input{where} correlated: {worst}: {cause}")
        return "; ".join(findings) or f"residual and input uncorrelated at {percent(self.level)}"


def cross_correlation(residual, u, lags: int = 25, *, level: float = 0.95) -> CrossCorrelation:
    """rₖ = Σ eₜ₊ₖ uₜ / √(Σ e² Σ u²),   |rₖ| ≤ q √(P / N),   P = Σⱼ ρₑ(j) ρᵤ(j)

    The bound holds for coloured residuals and inputs. So does the χ², which weights the
    correlations by the inverse of their covariance, over the directions that the input
    excites. The means are removed first, and missing samples are left out of the sums.

    Args:
        residual: measured less modelled, shape (T,) or (T, outputs); NaN is missing.
        u: the input at the same samples, shape (T,) or (T, inputs); NaN is missing.
        lags: L, the number of lags on each side.
        level: the probability of each bound, and that independent series pass.

    Returns:
        `CrossCorrelation`.

    Raises:
        ValueError: the lengths differ, an input is constant, lags are not below T/2, or
            level is not a probability.

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
    check_test(lags, level, len(e) // 2)
    pairs = [[_correlate(a, b, i, lags) for i, b in enumerate(inputs.T)] for a in e.T]
    shape = np.shape(residual)[1:] + np.shape(u)[1:]
    r, sd, p, p_feedback = (np.array([[x[k] for x in row] for row in pairs]) for k in range(4))
    return CrossCorrelation(
        np.arange(-lags, lags + 1),
        np.moveaxis(r, -1, 0).reshape(-1, *shape),
        normal_quantile(level) * sd.reshape(shape),
        p.reshape(shape),
        p_feedback.reshape(shape),
        level,
    )


def _correlate(e, u, input_index, lags):
    """r at lags −L … L of two series, its standard deviation, and p of either side."""
    (e, observed), (u, _), n = centre(e), centre(u), len(e)
    power_e, power_u = np.sum(e * e), np.sum(u * u)
    if not power_u > 0:
        raise ValueError(f"u: expected an input that varies, got input {input_index} constant")
    if not power_e > 0:
        return np.zeros(2 * lags + 1), 0.0, 1.0, 1.0
    size = 1 << (2 * n - 1).bit_length()
    fe, fu, fs = (np.fft.rfft(x, size) for x in (e, u, observed.astype(float)))
    Ce, Cu, pairs = (np.fft.irfft(abs(f) ** 2, size)[:n] for f in (fe, fu, fs))
    # Distant lags of the residual would only add noise to the sums; the taper keeps the
    # sums positive.
    Ce *= np.maximum(1 - np.arange(n) / max(n // 10, lags + 1), 0)
    P = (2 * Ce @ Cu - Ce[0] * Cu[0]) / n
    Re = Ce / np.maximum(np.round(pairs), 1)
    Re = np.fft.rfft(np.concatenate([Re, np.zeros(size - 2 * n + 1), Re[:0:-1]])).real
    p = _chi2_probability(e, u, observed, Re, np.arange(lags + 1))
    p_feedback = _chi2_probability(e[::-1], u[::-1], observed[::-1], Re, np.arange(1, lags + 1))
    raw = np.fft.irfft(fe * fu.conj(), size)
    scale = np.sqrt(power_e * power_u)
    r = np.concatenate([raw[-lags:], raw[: lags + 1]]) / scale
    return r, np.sqrt(P) / scale, p, p_feedback


def _chi2_probability(e, u, observed, spectrum, delays):
    """P(χ² ≥ cᵀ P⁺ c) for c = Uᵀ e, whose covariance is P = Uᵀ R U."""
    start = delays[-1]
    U = np.stack([u[start - k : len(u) - k] for k in delays], axis=1) * observed[start:, None]
    size = 2 * (len(spectrum) - 1)
    RU = np.fft.irfft(np.fft.rfft(U, size, axis=0) * spectrum[:, None], size, axis=0)[: len(U)]
    values, vectors = np.linalg.eigh(U.T @ RU)
    excited = values > 1e-6 * values[-1]
    statistic = np.sum((e[start:] @ U @ vectors[:, excited]) ** 2 / values[excited])
    return chdtrc(excited.sum(), statistic)
