"""Tests of white noise, for arrays of NumPy and of JAX: the bound of its correlations, and the
statistic of Ljung and Box.
"""

from statistics import NormalDist

import numpy as np


def correlation_bound(pairs, count, level: float = 0.95):
    """|rₖ| ≤ q √(nₖ / N(N+2)) at each lag with probability ``level``, if the series is white.

    Args:
        pairs: nₖ (lags, ...), the number of observed pairs at each lag.
        count: N (...), the number of observed samples.
        level: the probability; q is the quantile (1 + level) / 2 of the normal distribution.

    Reference: G. M. Ljung and G. E. P. Box, Biometrika 65 (1978) 297-303.

    >>> correlation_bound(np.array([99.0, 98.0]), np.array(100.0)).round(3).tolist()
    [0.193, 0.192]
    """
    namespace = pairs.__array_namespace__()
    return normal_quantile(level) * namespace.sqrt(pairs / (count * (count + 2))[None])


def ljung_box_statistic(r, pairs, count):
    """Q = N (N + 2) Σₖ rₖ² / nₖ over the lags, (...); χ² with one degree a lag if white.

    Args:
        r: the correlations (lags, ...).
        pairs, count: as for `correlation_bound`; lags without a pair are left out.

    Reference: as for `correlation_bound`.

    >>> float(ljung_box_statistic(np.array([0.5, 0.0]), np.array([10, 0]), 10))
    3.0
    """
    namespace = r.__array_namespace__()
    terms = namespace.where(pairs > 0, r**2 / namespace.maximum(pairs, 1), 0)
    return count * (count + 2) * namespace.sum(terms, axis=0)


def normal_quantile(level: float) -> float:
    """q with P(|x| ≤ q) = level for x ~ N(0, 1).

    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    return NormalDist().inv_cdf(0.5 + 0.5 * level)


def check_level(level) -> None:
    """Raise ValueError unless a level is a probability between 0 and 1; under `jit` it may be
    anything."""
    if isinstance(level, int | float | np.number) and not 0 < level < 1:
        raise ValueError(f"level: expected a probability between 0 and 1, got {level}")


def check_fitted(fitted: int, lags: int) -> None:
    """Raise ValueError unless fewer parameters were fitted than there are lags."""
    if not 0 <= fitted < lags:
        raise ValueError(f"fitted: expected at least 0 and below the {lags} lags, got {fitted}")
