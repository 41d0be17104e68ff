"""Losses of which a few gross errors are no large part."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Huber:
    """ρ(r) = r² up to |r| = k, and k (2 |r| − k) beyond: of large errors the sign counts.

    For `Simulation(…, robust=Huber())`: ½ Σ ρ(r) in place of ½ Σ r², with r the error in units
    of its output's noise, 1.4826 times the median of its size. The noise is known once a search
    has converged; one that does not, as of `Truncated`, takes the spread of the output for it.
    The k here costs 5 % of the efficiency where the noise is Gaussian.

    Args:
        k: where it changes.

    Reference: P. J. Huber and E. M. Ronchetti, *Robust Statistics*, 2nd ed., Wiley 2009,
    section 7.6.

    >>> Huber(1.0)(jnp.array([0.5, -1.0, 2.5])).tolist()   # r̃ with r̃² = ρ(r)
    [0.5, -1.0, 2.0]
    """

    k: float = 1.345

    def __post_init__(self):
        _check_positive("k", self.k)

    def __call__(self, r):
        """r̃ (…) with r̃² = ρ(r), of the sign of r."""
        size = jnp.maximum(jnp.abs(r), self.k)
        beyond = jnp.sign(r) * jnp.sqrt(self.k * (2 * size - self.k))
        return jnp.where(jnp.abs(r) <= self.k, r, beyond)


@dataclass(frozen=True)
class StudentT:
    """ρ(r) = (ν + 1) log(1 + r² / ν): errors of Student's t, of which the largest count for
    nothing.

    As `Huber`. Its loss may have several minima: start near.

    Args:
        degrees: ν.

    Reference: K. L. Lange, R. J. A. Little and J. M. G. Taylor, Journal of the American
    Statistical Association 84 (1989) 881-896.

    >>> round(float(StudentT(4.0)(jnp.array(2.0)) ** 2), 4)   # 5 log 2
    3.4657
    """

    degrees: float = 4.0

    def __post_init__(self):
        _check_positive("degrees", self.degrees)

    def __call__(self, r):
        """r̃ (…) with r̃² = ρ(r), of the sign of r."""
        x = r * r / self.degrees
        # log(1 + x) / x, which is 1 at 0 where neither it nor its slope could be computed.
        few = x < jnp.sqrt(jnp.finfo(r.dtype).eps)
        share = jnp.where(few, 1 - x / 2, jnp.log1p(jnp.where(few, 1, x)) / jnp.where(few, 1, x))
        return r * jnp.sqrt((self.degrees + 1) / self.degrees * share)


def _check_positive(name, value):
    if not 0 < value < np.inf:
        raise ValueError(f"{name}: expected a number above 0, got {value}")
