"""The cubature Kalman filter."""

import numpy as np

from filters.nonlinear import Nonlinear
from filters.sigma_points import UnitPoints, sigma_point_filter
from sim import Stepper


def cubature(model: Nonlinear) -> Stepper:
    """The cubature Kalman filter: 2n points of equal weight, exact to the third degree.

        ξ = ±√n eⱼ,   w = c = 1 / (2n)

    Args:
        model: see `filters.nonlinear.Nonlinear`.

    Returns:
        A stepper, as of `filters.extended.extended`.

    Raises:
        ValueError: as for `extended`.

    Reference: I. Arasaratnam and S. Haykin, IEEE Transactions on Automatic Control 54
    (2009).

    >>> import jax.numpy as jnp
    >>> from filters.gaussian import Gaussian
    >>> from sim import rollout
    >>> square = Nonlinear(f=lambda x, u, t: x, h=lambda x, u, t: x**2, Q=[0.1], R=[0.1])
    >>> ckf = cubature(square)
    >>> carry = ckf.init(Gaussian([1.0], [[0.9]]))
    >>> carry, _ = rollout(ckf.step, carry, jnp.array([[4.0], [4.0], [4.0]]))
    >>> carry.m.round(1).tolist()
    [2.0]
    """
    return sigma_point_filter(model, _points)


def _points(n) -> UnitPoints:
    axes = np.sqrt(n) * np.eye(n)
    weights = np.full(2 * n, 0.5 / n)
    return UnitPoints(np.concatenate([axes, -axes]), weights, weights)
