"""Consistency of a filter with its record: innovations, NIS, NEES, whiteness, normality.

Where the model is right the standardised innovations are independent and N(0, 1). A NIS
that is too large means that the filter is overconfident, one that is too small that it is
underconfident, and a correlation that the model lacks some dynamics. A NaN component is
missing, and so is its degree of freedom. All functions run under `jit` and `vmap`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaincc

from filters.chi_square import chi2_quantile
from filters.gaussian import as_float_array
from sim import rollout
from sim.linalg import cholesky, solve_lower
from sim.white_noise import check_fitted, check_level, correlation_bound, ljung_box_statistic


class Consistency(NamedTuple):
    """A mean of NIS or NEES, and its expected range.

    Attributes:
        mean: the mean over the steps.
        lower, upper: two-sided bounds that hold it with the probability asked for.
        p: the two-sided probability of a mean at least as far from its expectation.
    """

    mean: Any
    lower: Any
    upper: Any
    p: Any


class Significance(NamedTuple):
    """The statistic of a test, and the probability p of one at least as large by chance."""

    statistic: Any
    p: Any


class Autocorrelation(NamedTuple):
    """Correlations r of lags 1, 2, …, and the bound |r| ≤ bound of white noise at each."""

    r: Any
    bound: Any


def standardise(innovation, S):
    """z = L⁻¹ v with S = L Lᵀ: independent N(0, 1) components where the model is right.

    Args:
        innovation: (..., m), NaN where missing.
        S: (..., m, m), their covariance.

    Returns:
        (..., m), NaN where missing; the components seen are standardised by their own
        covariance.

    Reference: A. C. Harvey, "Forecasting, Structural Time Series Models and the Kalman
    Filter", Cambridge 1989, section 5.4.

    >>> S = jnp.array([[4.0, 9.0], [9.0, 100.0]])
    >>> standardise(jnp.array([2.0, jnp.nan]), S).tolist()
    [1.0, nan]
    """
    v, S = as_float_array(innovation), as_float_array(S)
    if v.ndim < 1 or S.shape[-2:] != (v.shape[-1], v.shape[-1]):
        raise ValueError(f"S: expected (..., m, m) for innovations {v.shape}, got {S.shape}")
    lead = jnp.broadcast_shapes(v.shape[:-1], S.shape[:-2])
    v, S = jnp.broadcast_to(v, lead + v.shape[-1:]), jnp.broadcast_to(S, lead + S.shape[-2:])
    return jnp.vectorize(_standardise_one, signature="(m),(m,m)->(m)")(v, S)


def _standardise_one(v, S):
    seen = ~jnp.isnan(v)
    eye = jnp.eye(len(v), dtype=S.dtype)
    S = jnp.where(seen[:, None] & seen[None, :], S, eye)
    z = solve_lower(cholesky(S), jnp.where(seen, v, 0))
    return jnp.where(seen, z, jnp.nan)


def nis(innovation, S):
    """vᵀ S⁻¹ v, the normalised innovation squared: χ² with a degree for each component seen.

    Args:
        innovation, S: as for `standardise`.

    Returns:
        (...), 0 where nothing was seen.

    Reference: Y. Bar-Shalom, X. R. Li and T. Kirubarajan, "Estimation with Applications
    to Tracking and Navigation", Wiley 2001, section 5.4.

    >>> nis(jnp.array([[2.0, 5.0], [jnp.nan, 5.0]]), jnp.diag(jnp.array([4.0, 25.0]))).tolist()
    [2.0, 1.0]
    """
    return jnp.nansum(standardise(innovation, S) ** 2, axis=-1)


def nees(error, P):
    """eᵀ P⁻¹ e, the normalised estimation error squared: χ² with n degrees of freedom.

    Args:
        error: (..., n), the true state less its estimate; NaN where the truth is unknown.
        P: (..., n, n), the covariance from the filter.

    Returns:
        (...), 0 where nothing is known.

    Reference: as for `nis`.

    >>> nees(jnp.array([3.0, 0.0]), jnp.diag(jnp.array([9.0, 1.0]))).item()
    1.0
    """
    return nis(error, P)


def degrees(innovation):
    """The components seen at each step, (...): the degrees of freedom of its NIS or NEES."""
    return jnp.sum(~jnp.isnan(jnp.asarray(innovation)), axis=-1)


def chi2_bounds(degrees, level=0.95, count=1):
    """Two-sided bounds of a χ² variable, or of the mean of several.

        [χ²_α/2, χ²_1−α/2] / count,   α = 1 − level

    Args:
        degrees: of one step, or for a mean the sum of those of its steps.
        level: the probability that the bounds hold it.
        count: the steps in the mean.

    Returns:
        (lower, upper), of the shape of ``degrees``; 0 for no degrees of freedom.

    Reference: as for `nis`.

    >>> [round(float(bound), 4) for bound in chi2_bounds(2)]
    [0.0506, 7.3778]
    >>> [round(float(bound), 4) for bound in chi2_bounds(2 * 50, count=50)]
    [1.4844, 2.5912]
    """
    check_level(level)
    tail = 0.5 * (1 - level)
    return tuple(chi2_quantile(p, degrees) / count for p in (tail, 1 - tail))


def consistency(values, degrees, level=0.95) -> Consistency:
    """The mean NIS, or NEES, of a record, with its expected range.

    Args:
        values: (N, ...) of `nis` or `nees`; further axes, such as Monte Carlo runs, are
            tested each on its own (join them to test them together).
        degrees: (N, ...) the degrees of freedom of each, or one number for all.
        level: the probability that the bounds hold the mean.

    Reference: as for `nis`.

    >>> found = consistency(jnp.array([0.9, 1.4, 0.2, 1.5]), 1)
    >>> found.mean.item(), bool(found.lower < found.mean) and bool(found.mean < found.upper)
    (1.0, True)
    """
    values = as_float_array(values)
    steps = values.shape[0]
    total = jnp.sum(jnp.broadcast_to(jnp.asarray(degrees), values.shape), axis=0)
    lower, upper = chi2_bounds(total.astype(values.dtype), level, steps)
    above = chi2_tail(jnp.sum(values, axis=0), total)
    return Consistency(jnp.mean(values, axis=0), lower, upper, 2 * jnp.minimum(above, 1 - above))


def autocorrelation(z, lags: int, level=0.95) -> Autocorrelation:
    """rₖ = Σ zₜ zₜ₊ₖ / Σ zₜ², the mean subtracted; bounds ±q √(nₖ / N(N+2)).

    Args:
        z: (N, ...), one series along the first axis, such as standardised innovations;
            NaN is missing: its products are left out, and nₖ counts those that remain
            (N − k where nothing is missing; N counts what is seen).
        lags: how many.
        level: the probability of each bound for white noise.

    Returns:
        An `Autocorrelation`, each (lags, ...).

    Reference: G. M. Ljung and G. E. P. Box, Biometrika 65 (1978) 297-303.

    >>> z = jnp.array([1.0, -1.0] * 32)
    >>> autocorrelation(z, 2).r.tolist()
    [-0.984375, 0.96875]
    """
    check_level(level)
    r, pairs, count = _correlations(z, lags)
    return Autocorrelation(r, correlation_bound(pairs, count, level))


def ljung_box(z, lags: int, fitted: int = 0) -> Significance:
    """Q = N (N + 2) Σₖ rₖ² / nₖ over the first lags, a test whether a series is white.

    Args:
        z: (N, ...) as for `autocorrelation`, which has nₖ, N − k where nothing is missing.
        lags: how many correlations it sums; about ln N, or two periods of a season.
        fitted: number of parameters fitted to the record, subtracted from the degrees of
            freedom.

    Returns:
        A `Significance`, each of the shape of ``z`` without its first axis. A small p: not white.

    Raises:
        ValueError: lags are not above fitted, or not below N.

    Reference: as for `autocorrelation`.

    >>> import numpy as np
    >>> white = jnp.asarray(np.random.default_rng(0).normal(size=200))
    >>> bool(ljung_box(white, 10).p > 0.05), bool(ljung_box(jnp.cumsum(white), 10).p < 1e-6)
    (True, True)
    """
    check_fitted(fitted, lags)
    r, pairs, count = _correlations(z, lags)
    statistic = ljung_box_statistic(r, pairs, count)
    return Significance(statistic, chi2_tail(statistic, lags - fitted))


def _correlations(z, lags):
    z = as_float_array(z)
    if not 0 < lags < z.shape[0]:
        raise ValueError(f"lags: expected 1 to {z.shape[0] - 1}, below the length, got {lags}")
    seen = ~jnp.isnan(z)
    count = jnp.sum(seen, axis=0).astype(z.dtype)
    z = jnp.where(seen, z - jnp.nansum(z, axis=0, keepdims=True) / count[None], 0)
    power = jnp.sum(z * z, axis=0)
    padded = jax.tree.map(lambda a: jnp.concatenate([a, jnp.zeros_like(a[:lags])]), (z, seen))

    def at(_, lag):  # a loop: all lags at once would take lags times the memory
        later, present = (jax.lax.dynamic_slice_in_dim(a, lag, len(z)) for a in padded)
        return None, (jnp.sum(z * later, axis=0), jnp.sum(seen & present, axis=0))

    _, (products, pairs) = rollout(at, None, jnp.arange(1, lags + 1))
    return products / power[None], pairs.astype(z.dtype), count


def jarque_bera(z) -> Significance:
    """JB = N/6 (skewness² + (kurtosis − 3)² / 4), χ² with 2 degrees: a test of normality.

    Args:
        z: (N, ...), one series along the first axis; NaN is missing.

    Returns:
        A `Significance`, each of the shape of ``z`` without its first axis. p is that of long
        series: with fewer than some hundred values it is too large.

    Reference: C. M. Jarque and A. K. Bera, International Statistical Review 55 (1987).

    >>> found = jarque_bera(jnp.array([-1.0, -1.0, 1.0, 1.0, jnp.nan]))
    >>> round(found.statistic.item(), 6), round(found.p.item(), 6)
    (0.666667, 0.716531)
    """
    z = as_float_array(z)
    count = jnp.sum(~jnp.isnan(z), axis=0).astype(z.dtype)
    mean = jnp.nansum(z, axis=0, keepdims=True) / count[None]
    second, third, fourth = (jnp.nansum((z - mean) ** k, axis=0) / count for k in (2, 3, 4))
    skewness, kurtosis = third / second**1.5, fourth / second**2
    statistic = count / 6 * (skewness**2 + (kurtosis - 3) ** 2 / 4)
    return Significance(statistic, jnp.exp(-statistic / 2))


def chi2_tail(x, degrees):
    """P(χ² > x); 1 for no degrees of freedom."""
    x, degrees = jnp.broadcast_arrays(as_float_array(x), jnp.asarray(degrees))
    half = jnp.where(degrees > 0, degrees, 1).astype(x.dtype) / 2
    return jnp.where(degrees > 0, gammaincc(half, x / 2), 1)
