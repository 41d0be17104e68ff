"""Updates of the task `estimate` whose parameters depend on the record."""

from collections.abc import Callable
from typing import Any

import numpy as np

from filters.chi_square import chi2_quantile
from filters.robust import gate as beyond


def gate(y: Any, probability: float = 0.999) -> Callable:
    """An observation is missing where its NIS lies beyond what a good one reaches.

    Args:
        y: (N, m) observations.
        probability: of keeping a good one, between 0 and 1, whatever is seen of it.

    Reference: as for `filters.robust.gate`.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability: expected a number between 0 and 1, got {probability:g}")
    return beyond(np.asarray(chi2_quantile(probability, np.arange(y.shape[1] + 1.0))))
