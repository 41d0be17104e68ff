"""What the tests of residuals share: series without their mean, and the words for a lag."""

import numpy as np

from sim.white_noise import check_level


def centre(x):
    """A series (T, ...) less its mean, 0 where missing; and which samples are observed."""
    observed = ~np.isnan(x)
    mean = divide(np.sum(np.where(observed, x, 0), axis=0), observed.sum(axis=0))
    centred = np.where(observed, x - mean, 0)
    # A constant less its mean is rounding, not a series.
    constant = np.max(abs(centred), axis=0) <= 1e-14 * abs(mean)
    return np.where(constant, 0, centred), observed


def divide(x, y):
    """x / y, and 0 where y is 0."""
    return np.where(y > 0, x / np.where(y > 0, y, 1), 0)


def describe_worst_lag(lags, r, bound, level) -> str:
    """The lag whose correlation exceeds its bound most, in words."""
    bound = np.broadcast_to(bound, r.shape)
    k = np.argmax(abs(r) / np.where(bound > 0, bound, np.inf))
    at_level = f"at {percent(level)}"
    if abs(r[k]) <= bound[k]:
        return f"lags {lags[0]} to {lags[-1]} together, none outside its bound {at_level}"
    return f"lag {lags[k]} has {r[k]:.2g}, bound {bound[k]:.2g} {at_level}"


def percent(level) -> str:
    """A level in percent.

    >>> percent(0.95)
    '95 %'
    """
    return f"{100 * level:g} %"


def check_test(lags, level, end) -> None:
    """Raise ValueError unless lags is an integer from 1 to ``end`` − 1 and level a probability."""
    if isinstance(lags, bool) or not isinstance(lags, int | np.integer) or not 0 < lags < end:
        raise ValueError(f"lags: expected an integer from 1 to {end - 1}, got {lags!r}")
    check_level(level)
