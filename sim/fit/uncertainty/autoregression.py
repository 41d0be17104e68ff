"""Coloured noise as white noise through a filter: an autoregression by Burg's method.

NumPy, in float64: it describes residuals once, after a search.
"""

from typing import NamedTuple

import numpy as np

# The smallest share of the observed samples that must have a partner at a lag: in a record full of
# gaps few stretches are long enough for a high order.
MIN_PAIRS = 0.1


class Autoregression(NamedTuple):
    """e_k = −Σᵢ aᵢ e_{k−i} + w_k,   i = 1 … p

    Attributes:
        a: (p + 1,), with a₀ = 1.
        variance: of w.
    """

    a: np.ndarray
    variance: float

    def impulse(self, length: int) -> np.ndarray:
        """The impulse response from w to e, until it has decayed, (at most length,)."""
        from scipy.signal import lfilter

        h = lfilter([1.0], self.a, np.eye(1, length)[0])
        return h[: np.flatnonzero(np.abs(h) > 1e-3 * np.abs(h).max())[-1] + 1]


def autoregression(e) -> Autoregression:
    """Reflection coefficients κ_p = −2 Σ f_k b_{k−1} / Σ (f_k² + b_{k−1}²); AIC chooses the order.

    f and b are the forward and backward errors of order p − 1. With any gaps the filter is stable,
    and R(0) is the mean of e². The mean is not removed.

    Args:
        e: (T,); NaN is missing, and a NaN between two records separates them.

    Reference: S. de Waele and P. M. T. Broersen, "The Burg algorithm for segments", IEEE
    Transactions on Signal Processing 48 (2000) 2876-2880.

    >>> from scipy.signal import lfilter
    >>> e = lfilter([1.0], [1.0, -0.9], np.random.default_rng(0).normal(size=4000))
    >>> autoregression(e).a.round(2).tolist()
    [1.0, -0.9]
    """
    e = np.asarray(e, float)
    observed = np.isfinite(e)
    count = observed.sum()
    # Where only every n-th sample is observed, the noise is modelled at these alone.
    steps = range(1, len(e))
    step = next((s for s in steps if (observed[s:] & observed[:-s]).sum() >= MIN_PAIRS * count), 1)
    e = np.append(e, np.full(step + -len(e) % step, np.nan)).reshape(-1, step).T.ravel()
    a, variance = np.ones(1), np.nanmean(e * e)
    best, criterion, smallest = Autoregression(a, variance), 0.0, 0.0
    f, b = e, e
    for _ in range(int(10 * np.log10(max(count, 1)))):
        f, b = f[1:], b[:-1]
        both = np.isfinite(f) & np.isfinite(b)
        pairs, power = both.sum(), np.sum(f[both] ** 2 + b[both] ** 2)
        if pairs < max(MIN_PAIRS * count, 10) or not power > 0:
            break
        # The memory of a constant series is as long as the record, not infinite.
        k = np.clip(-2 * np.sum(f[both] * b[both]) / power, 1 / count - 1, 1 - 1 / count)
        f, b = f + k * b, b + k * f
        a = np.append(a, 0.0) + k * np.append(0.0, a[::-1])
        variance *= 1 - k * k
        criterion += pairs * np.log(1 - k * k) + 2
        if criterion < smallest:
            best, smallest = Autoregression(a, variance), criterion
    spaced = np.zeros((len(best.a), step))
    spaced[:, 0] = best.a
    return best._replace(a=spaced.ravel()[: 1 + step * (len(best.a) - 1)])
