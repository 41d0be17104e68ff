"""How well a model's output agrees with the measured one: RMSE, NRMSE, FIT %, VAF, R².

NumPy, in float64 for any dtype of the record: a score is read, not differentiated.
"""

from typing import Any, NamedTuple

import numpy as np

from sim.records.columns import as_columns


class Scores(NamedTuple):
    """Scores of each output, shape () for a series (T,), else (outputs,).

    Attributes:
        rmse: √mean e², in the unit of y.
        nrmse: rmse / std(y); 0 is perfect, 1 is no better than the mean of y.
        fit_percent: 100 (1 − nrmse), as MATLAB's ``compare`` reports.
        vaf: 100 (1 − var(e) / var(y)), in %; it ignores an offset.
        r_squared: 1 − Σ e² / Σ (y − ȳ)².
    """

    rmse: Any
    nrmse: Any
    fit_percent: Any
    vaf: Any
    r_squared: Any


def scores(y, yhat) -> Scores:
    """Five scores of the error e = y − ŷ over the observed samples.

    The standard deviation and variances divide by the number of observed samples, so that
    fit_percent = 100 (1 − ‖y − ŷ‖ / ‖y − ȳ‖) and r_squared = 1 − nrmse². A constant output
    has no deviation to compare with: its relative scores are infinite or NaN.

    Args:
        y: measured, shape (T,) or (T, outputs); NaN is missing.
        yhat: the model's output, of the same shape. Where it is not finite at an observed
            sample, the scores of that output are NaN: a model that diverged has no score.

    Returns:
        `Scores`.

    Raises:
        ValueError: the shapes differ, or an output has no observed sample.

    Reference: MATLAB System Identification Toolbox, ``compare`` and ``goodnessOfFit``;
    nonlinearbenchmark.org for the NRMSE.

    >>> found = scores([0.0, 2.0, 4.0, float("nan")], [1.0, 2.0, 3.0, 9.0])
    >>> round(float(found.rmse), 4), round(float(found.fit_percent), 4)
    (0.8165, 50.0)
    """
    shape = np.shape(y)
    if np.shape(yhat) != shape:
        raise ValueError(f"yhat: expected the shape of y, {shape}, got {np.shape(yhat)}")
    y, yhat = as_columns("y", y), as_columns("yhat", yhat)
    observed = ~np.isnan(y)
    empty = np.flatnonzero(~observed.any(axis=0))
    if len(empty):
        raise ValueError(f"y: expected numbers in each output, got only NaN in output {empty[0]}")
    yhat = np.where(np.isfinite(yhat), yhat, np.nan)
    error = np.where(observed, y - yhat, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = _mean((y - _mean(y, observed)) ** 2, observed)
        square = _mean(error**2, observed)
        nrmse = np.sqrt(square / variance)
        vaf = 100 * (1 - _mean((error - _mean(error, observed)) ** 2, observed) / variance)
        values = np.sqrt(square), nrmse, 100 * (1 - nrmse), vaf, 1 - square / variance
    return Scores(*(value.reshape(shape[1:]) for value in values))


def _mean(x, observed):
    return np.sum(np.where(observed, x, 0), axis=0) / np.sum(observed, axis=0)
