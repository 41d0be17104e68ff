"""Robust losses: a few gross errors have little influence."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Huber:
    """ρ(r) = r² up to |r| = k, and k (2 |r| − k) beyond: the gradient of large errors is bounded.

    With `Simulation(…, robust=Huber())` the loss is ½ Σ ρ(r) instead of ½ Σ r², with r the
    error in units of its output's noise, 1.4826 times the median of its size. The noise is
    known once a search has converged; `Truncated`, which does not converge, takes the spread
    of the output instead. The default k costs 5 % of the efficiency if the noise is Gaussian.

    Args:
        k: the error from which on ρ is linear.

    Reference: P. J. Huber and E. M. Ronchetti, *Robust Statistics*, 2nd ed., Wiley 2009,
    section 7.6.

    >>> Huber(1.0)(jnp.array([0.5, -1.0, 2.5])).tolist()   # r̃ with r̃² = ρ(r)
    [0.5, -1.0, 2.0]
    """

    k: float = 1.345

    def __post_init__(self):
        _check_positive("k", self.k)

    def __call__(self, r):
        """r̃ (…) with r̃² = ρ(r), and the sign of r."""
        size = jnp.maximum(jnp.abs(r), self.k)
        beyond = jnp.sign(r) * jnp.sqrt(self.k * (2 * size - self.k))
        return jnp.where(jnp.abs(r) <= self.k, r, beyond)


@dataclass(frozen=True)
class StudentT:
    """ρ(r) = (ν + 1) log(1 + r² / ν): the log-likelihood of Student's t; the influence of the
    largest errors vanishes.

    Used as `Huber`. The loss may have several minima: start near the solution.

    Args:
        degrees: ν, degrees of freedom.

    Reference: K. L. Lange, R. J. A. Little and J. M. G. Taylor, Journal of the American
    Statistical Association 84 (1989) 881-896.

    >>> round(float(StudentT(4.0)(jnp.array(2.0)) ** 2), 4)   # 5 log 2
    3.4657
    """

    degrees: float = 4.0

    def __post_init__(self):
        _check_positive("degrees", self.degrees)

    def __call__(self, r):
        """r̃ (…) with r̃² = ρ(r), and the sign of r."""
        x = r * r / self.degrees
        # log(1 + x) / x, by its series where division by x would lose the value or the slope.
        small = x < jnp.sqrt(jnp.finfo(r.dtype).eps)
        safe = jnp.where(small, 1, x)
        ratio = jnp.where(small, 1 - x / 2, jnp.log1p(safe) / safe)
        return r * jnp.sqrt((self.degrees + 1) / self.degrees * ratio)


def _check_positive(name, value):
    if not 0 < value < np.inf:
        raise ValueError(f"{name}: expected a number above 0, got {value}")
