"""State estimation and signal filters as steps that `sim.rollout` drives.

They stand beside `integrators`, on `sim` alone. Symbols: ``m P`` mean and covariance of
the state, ``F Q`` transition and its noise, ``H R`` observation and its noise, ``S``
innovation covariance, ``K`` gain, ``y`` observation.
"""

__all__ = []
