"""Times, samples and the makers of inputs, for the tests of `sim.inputs`."""

import functools

import numpy as np

from sim.inputs import (
    band_limited,
    cubic,
    first_order_hold,
    zero_order_hold,
)

T = 0.3 + 0.1 * np.arange(12)
THETAS = (0.0, 0.21, 1 / 3, 0.5, 0.9, 1.0)
periodic = functools.partial(band_limited, periodic=True)
MAKERS = [zero_order_hold, first_order_hold, cubic, band_limited, periodic]


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)
