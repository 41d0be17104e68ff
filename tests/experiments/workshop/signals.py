"""A test signal is one function."""

import numpy as np


def sawtooth(t, period: float = 1.0):
    """Rises from 0 to 1 in each period."""
    return (np.asarray(t) / period) % 1.0
