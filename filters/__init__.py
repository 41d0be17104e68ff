"""State estimation and signal filters as steps that `sim.rollout` drives.

They stand beside `integrators`, on `sim` alone. Symbols: ``m P`` mean and covariance of
the state, ``F Q`` transition and its noise, ``H R`` observation and its noise, ``S``
innovation covariance, ``K`` gain, ``y`` observation.
"""

from filters.extended import extended
from filters.gaussian import Estimate, Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.nonlinear import Nonlinear
from filters.rts import rts
from filters.unscented import unscented

__all__ = [
    "Estimate",
    "Gaussian",
    "LinearGaussian",
    "Nonlinear",
    "extended",
    "kalman",
    "rts",
    "unscented",
]
