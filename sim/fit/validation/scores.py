"""How well a model's output agrees with the measured one: RMSE, NRMSE, FIT %, VAF, R².

NumPy, in float64 whatever the record's type: a score is read, not differentiated.
"""

from typing import Any, NamedTuple

import numpy as np

from sim.records.columns import as_columns


class Scores(NamedTuple):
    """Scores of each output, shape () for a series (T,), else (outputs,).

    Attributes:
        rmse: √mean e², in the unit of y.
        nrmse: rmse / std(y); 0 is perfect, 1 is no better than the mean of y.
        fit_percent: 100 (1 − nrmse), which MATLAB's ``compare`` shows.
        vaf: 100 (1 − var(e) / var(y)), in %: blind to an offset.
        r_squared: 1 − Σ e² / Σ (y − ȳ)².
    """

    rmse: Any
    nrmse: Any
    fit_percent: Any
    vaf: Any
    r_squared: Any


def scores(y, yhat) -> Scores:
    """e = y − ŷ over the samples seen, scored five ways.

    The standard deviation and variances divide by the number of samples seen, so that
    fit_percent = 100 (1 − ‖y − ŷ‖ / ‖y − ȳ‖) and r_squared = 1 − nrmse². An output that
    is constant has no deviation to compare with: its relative scores are infinite or NaN.

    Args:
        y: measured, shape (T,) or (T, outputs); NaN is missing.
        yhat: the model's, of the same shape. Not finite where y is seen, it makes the
            scores of that output NaN: a model that diverged is not scored on the rest.

    Returns:
        `Scores`.

    Raises:
        ValueError: the shapes differ, or an output has no sample that is seen.

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
    seen = ~np.isnan(y)
    unseen = np.flatnonzero(~seen.any(axis=0))
    if len(unseen):
        raise ValueError(f"y: expected numbers in each output, got NaN alone in output {unseen[0]}")
    yhat = np.where(np.isfinite(yhat), yhat, np.nan)
    error = np.where(seen, y - yhat, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = _mean((y - _mean(y, seen)) ** 2, seen)
        square = _mean(error**2, seen)
        nrmse = np.sqrt(square / spread)
        vaf = 100 * (1 - _mean((error - _mean(error, seen)) ** 2, seen) / spread)
        found = np.sqrt(square), nrmse, 100 * (1 - nrmse), vaf, 1 - square / spread
    return Scores(*(score.reshape(shape[1:]) for score in found))


def _mean(x, seen):
    return np.sum(np.where(seen, x, 0), axis=0) / np.sum(seen, axis=0)
