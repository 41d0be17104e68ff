"""Whether residuals are white: a residual that is not says that its noise is not modelled.

NumPy, in float64: a test is read, not differentiated.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import chdtrc

from sim.fit.validation.residual_series import (
    centre,
    check_test,
    describe_worst_lag,
    divide,
    percent,
)
from sim.records.columns import as_columns
from sim.white_noise import check_fitted, correlation_bound, ljung_box_statistic


class Whiteness(NamedTuple):
    """Autocorrelations of residuals (T,); of (T, outputs) all but lags have that axis last.

    Attributes:
        lags: 1 … L.
        correlation: r at each lag.
        bound: |r| ≤ bound at each lag with probability ``level``, if the residual is white.
        p: the probability that a white residual has a Ljung-Box statistic at least so large.
        level: the probability of the bound, and that a white residual passes.
    """

    lags: Any
    correlation: Any
    bound: Any
    p: Any
    level: float

    @property
    def words(self) -> str:
        """The verdict in words: each output that is not white, or that all are."""
        r, bound = (np.reshape(x, (len(self.lags), -1)) for x in (self.correlation, self.bound))
        findings = []
        for i, p in enumerate(np.ravel(self.p)):
            if p < 1 - self.level:
                name = "residual" if np.ndim(self.p) == 0 else f"residual of output {i}"
                worst = describe_worst_lag(self.lags, r[:, i], bound[:, i], self.level)
                findings.append(f"{name} not white: {worst}")
        return "; ".join(findings) or f"residual white at {percent(self.level)}"


def whiteness(residual, lags: int = 25, *, fitted: int = 0, level: float = 0.95) -> Whiteness:
    """rₖ = Σ eₜ eₜ₊ₖ / Σ eₜ²,   |rₖ| ≤ q √(nₖ / N(N+2)),   Q = N(N+2) Σ rₖ² / nₖ ~ χ²

    The mean is removed first. With gaps the sums are over the nₖ pairs that are observed.

    Args:
        residual: measured less modelled, shape (T,) or (T, outputs); NaN is missing.
        lags: L, the number of lags.
        fitted: the number of fitted parameters of a noise model; Q has as many degrees of freedom
            less.
        level: the probability of each bound, and that white noise passes.

    Returns:
        `Whiteness`; a constant residual is white.

    Raises:
        ValueError: lags are not above fitted or not below T, or level is not a probability.

    Reference: G. M. Ljung and G. E. P. Box, Biometrika 65 (1978) 297-303.

    >>> e = np.random.default_rng(0).normal(size=400)
    >>> whiteness(e).words
    'residual white at 95 %'
    >>> whiteness(e[1:] + e[:-1]).words
    'residual not white: lag 1 has 0.49, bound 0.098 at 95 %'
    """
    shape = np.shape(residual)[1:]
    e, observed = centre(as_columns("residual", residual))
    check_test(lags, level, len(e))
    check_fitted(fitted, lags)
    count, power = observed.sum(axis=0), np.sum(e * e, axis=0)
    products = np.stack([np.sum(e[:-k] * e[k:], axis=0) for k in range(1, lags + 1)])
    pairs = np.stack([np.sum(observed[:-k] & observed[k:], axis=0) for k in range(1, lags + 1)])
    r = divide(products, power)
    p = chdtrc(lags - fitted, ljung_box_statistic(r, pairs, count))
    bound = correlation_bound(pairs, np.maximum(count, 1), level)  # 0 where nothing is observed
    return Whiteness(
        np.arange(1, lags + 1),
        r.reshape(lags, *shape),
        bound.reshape(lags, *shape),
        p.reshape(shape),
        level,
    )
