"""A filter design is one function."""

import numpy as np


def smoother(Wn, fs):
    """Exponential smoothing with a pole at exp(-2 pi Wn / fs)."""
    pole = np.exp(-2 * np.pi * Wn / fs)
    return np.array([1 - pole]), np.array([1.0, -pole])
