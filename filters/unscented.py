"""The unscented Kalman filter."""

from dataclasses import dataclass

import numpy as np

from filters.nonlinear import Nonlinear
from filters.sigma_points import UnitPoints, sigma_point_filter
from sim import Stepper, check


def unscented(
    model: Nonlinear, alpha: float = 1.0, beta: float = 0.0, kappa: float = 1.0
) -> Stepper:
    """The unscented Kalman filter: 2n + 1 points, the mean among them.

        λ = α² (n + κ) − n,   ξ = 0 and ±√(n + λ) eⱼ
        w₀ = λ / (n + λ),   c₀ = w₀ + 1 − α² + β,   wᵢ = cᵢ = 1 / (2 (n + λ))

    Args:
        model: see `filters.nonlinear.Nonlinear`.
        alpha: how far the points spread; below 1 the weight of the mean is negative
            and large, which costs digits.
        beta: for the fourth moment; 2 with a small alpha for a Gaussian.
        kappa: the second spread. The three defaults give positive weights, with which
            the covariances are positive semi-definite.

    Returns:
        A stepper, as of `filters.extended.extended`.

    Raises:
        ValueError: as for `extended`; a parameter is not a number, α is 0 or n + κ
            is not positive.

    Reference: S. Julier and J. Uhlmann, Proceedings of the IEEE 92 (2004); E. A. Wan
    and R. van der Merwe, AS-SPCC 2000, for α, β and κ.

    >>> import jax.numpy as jnp
    >>> from filters.gaussian import Gaussian
    >>> from sim import rollout
    >>> square = Nonlinear(f=lambda x, u, t: x, h=lambda x, u, t: x**2, Q=[0.1], R=[0.1])
    >>> ukf = unscented(square)
    >>> carry = ukf.init(Gaussian([1.0], [[0.9]]))
    >>> carry, _ = rollout(ukf.step, carry, jnp.array([[4.0], [4.0], [4.0]]))
    >>> carry.m.round(1).tolist()
    [2.0]
    """
    for name, value in (("alpha", alpha), ("beta", beta), ("kappa", kappa)):
        check.real(name, value)
    if not alpha != 0:
        raise ValueError(f"alpha: expected a number other than 0, got {alpha}")
    return sigma_point_filter(model, _Rule(float(alpha), float(beta), float(kappa)))


@dataclass(frozen=True)
class _Rule:
    """The points for one choice of parameters; equal ones are traced once."""

    alpha: float
    beta: float
    kappa: float

    def __call__(self, n) -> UnitPoints:
        spread = self.alpha**2 * (n + self.kappa)
        if not spread > 0:
            raise ValueError(f"kappa: expected more than {-n}, less than n of it, got {self.kappa}")
        axes = np.sqrt(spread) * np.eye(n)
        points = np.concatenate([np.zeros((1, n)), axes, -axes])
        mean = np.full(2 * n + 1, 0.5 / spread)
        mean[0] = 1 - n / spread
        covariance = mean.copy()
        covariance[0] += 1 - self.alpha**2 + self.beta
        return UnitPoints(points, mean, covariance)
