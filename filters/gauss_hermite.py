"""The Gauss-Hermite Kalman filter."""

from dataclasses import dataclass

import numpy as np

from filters.nonlinear import Nonlinear
from filters.sigma_points import UnitPoints, sigma_point_filter
from sim import Stepper, check

MOST_POINTS = 100_000


def gauss_hermite(model: Nonlinear, order: int = 3) -> Stepper:
    """The Gauss-Hermite Kalman filter: pⁿ points, exact to degree 2p − 1 in each component.

        ξ on the grid of the roots of Heₚ,   w = c = Π p! / (p Heₚ₋₁(ξⱼ))²

    Args:
        model: see `filters.nonlinear.Nonlinear`.
        order: p, the points along each axis; their number is p to the power of n.

    Returns:
        A stepper, as of `filters.extended.extended`.

    Raises:
        ValueError: as for `extended`; order is not an integer of at least 1, or makes
            more than 100 000 points.

    Reference: K. Ito and K. Xiong, IEEE Transactions on Automatic Control 45 (2000).

    >>> import jax.numpy as jnp
    >>> from filters.gaussian import Gaussian
    >>> from sim import rollout
    >>> square = Nonlinear(f=lambda x, u, t: x, h=lambda x, u, t: x**2, Q=[0.1], R=[0.1])
    >>> ghkf = gauss_hermite(square, order=5)
    >>> _, estimates = rollout(ghkf.step, ghkf.init(Gaussian([1.0], [[0.9]])), jnp.array([[4.0]]))
    >>> print(estimates.S.round(9))  # var x² = 4 m² P + 2 P² for P = 1, and R
    [[[6.1]]]
    """
    return sigma_point_filter(model, _Rule(check.positive("order", order)))


@dataclass(frozen=True)
class _Rule:
    """The grid of one order; equal ones are traced once."""

    order: int

    def __call__(self, n) -> UnitPoints:
        if self.order**n > MOST_POINTS:
            raise ValueError(f"order: expected at most {MOST_POINTS} points, got {self.order}**{n}")
        roots, weights = np.polynomial.hermite_e.hermegauss(self.order)
        grid = np.stack(np.meshgrid(*[roots] * n, indexing="ij"), -1).reshape(-1, n)
        w = np.stack(np.meshgrid(*[weights / weights.sum()] * n, indexing="ij"), -1)
        w = w.reshape(-1, n).prod(1)
        return UnitPoints(grid, w, w)
