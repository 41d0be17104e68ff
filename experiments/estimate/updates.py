"""Measurement updates of the task `estimate` whose parameters depend on the record."""

from collections.abc import Callable
from typing import Any

import numpy as np

from filters.chi_square import chi2_quantile
from filters.robust import gate as gate_by_nis


def gate(y: Any, probability: float = 0.999) -> Callable:
    """Treat an observation as missing if its NIS is above a quantile of its χ² distribution.

    Args:
        y: (N, m) observations.
        probability: with which a good observation is kept, between 0 and 1; the quantile is
            of as many degrees of freedom as the observation has components.

    Reference: as for `filters.robust.gate`.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability: expected a number between 0 and 1, got {probability:g}")
    return gate_by_nis(np.asarray(chi2_quantile(probability, np.arange(y.shape[1] + 1.0))))
