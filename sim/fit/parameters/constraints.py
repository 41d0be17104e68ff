"""Constraints of parameters: positive, between bounds, a matrix of a certain form.

A search moves an unbounded vector z ∈ ℝⁿ; a constraint maps z to a parameter. It is a frozen
dataclass with two methods, and a new one needs no more:

    value(z, shape) -> the parameter       free(value) -> z, where the search starts
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np


@runtime_checkable
class ParameterConstraint(Protocol):
    """A smooth map from some numbers of the search vector to one parameter, and its inverse.

    It is hashable, as a frozen dataclass is: it is part of what a search is compiled for.
    """

    def value(self, z, shape):
        """The parameter of a shape, from its numbers z (n,)."""

    def free(self, value):
        """z (n,) of a parameter. ValueError where the constraint does not allow its value."""


@dataclass(frozen=True)
class Free:
    """θ = z: any number."""

    def value(self, z, shape):
        return z.reshape(shape)

    def free(self, value):
        return value.ravel()


@dataclass(frozen=True)
class Positive:
    """θ = eᶻ."""

    def value(self, z, shape):
        return jnp.exp(z).reshape(shape)

    def free(self, value):
        if not np.all(value > 0):
            raise ValueError(f"expected a start above 0, got {value}")
        return np.log(value).ravel()


# A start on a bound is moved inside by this share of the span: on the bound the slope is 0.
BOUND_MARGIN = 1e-3


@dataclass(frozen=True)
class Bounded:
    """θ = a + (b − a) / (1 + e⁻ᶻ) between a and b; a + eᶻ if b is infinite, b − eᶻ if a is."""

    lower: float
    upper: float

    def __post_init__(self):
        if not self.lower < self.upper or np.isinf([self.lower, self.upper]).all():
            raise ValueError(
                "bounds: expected two numbers that increase, at most one of them "
                f"infinite, got {self.lower}, {self.upper}"
            )

    @property
    def span(self):
        return self.upper - self.lower

    def value(self, z, shape):
        if np.isfinite(self.span):
            return (self.lower + self.span * jax.nn.sigmoid(z)).reshape(shape)
        distance = jnp.exp(z).reshape(shape)
        return self.lower + distance if np.isfinite(self.lower) else self.upper - distance

    def free(self, value):
        if not np.all((value >= self.lower) & (value <= self.upper)):
            bounds = f"{self.lower:g} and {self.upper:g}"
            raise ValueError(f"expected a start between its bounds {bounds}, got {value}")
        if np.isfinite(self.span):
            share = (value - self.lower) / self.span
            share = np.where(
                share <= 0, BOUND_MARGIN, np.where(share >= 1, 1 - BOUND_MARGIN, share)
            )
            return np.log(share / (1 - share)).ravel()
        distance = value - self.lower if np.isfinite(self.lower) else self.upper - value
        if not np.all(distance > 0):
            bound = self.lower if np.isfinite(self.lower) else self.upper
            raise ValueError(
                f"expected a start off its only bound {bound:g}, about as far as the "
                f"parameter may be from it, got {value}"
            )
        return np.log(distance).ravel()


@dataclass(frozen=True)
class Fixed:
    """θ keeps its value at the start and is not searched."""

    def value(self, z, shape):
        raise NotImplementedError("a fixed parameter is taken from the start")

    def free(self, value):
        return np.zeros(0, value.dtype)


@dataclass(frozen=True)
class Tied:
    """θ = factor · another parameter of the same shape, given by its name."""

    to: str
    factor: float = 1.0

    def value(self, z, shape):
        raise NotImplementedError("a tied parameter is taken from another")

    def free(self, value):
        return np.zeros(0, value.dtype)


@dataclass(frozen=True)
class Triangular:
    """A lower triangular matrix (n, n), L_ij = z; with ``positive`` L_ii = eᶻ and L_ij = L_ii z, so
    that z does not depend on units."""

    positive: bool = False

    def value(self, z, shape):
        rows, columns = np.tril_indices(shape[0])
        matrix = jnp.zeros(shape, z.dtype).at[rows, columns].set(z)
        if not self.positive:
            return matrix
        size = jnp.exp(jnp.diagonal(matrix))
        return size[:, None] * (jnp.tril(matrix, -1) + jnp.eye(shape[0], dtype=z.dtype))

    def free(self, value):
        _check_square(value)
        matrix = np.array(value)
        if np.any(np.triu(matrix, 1)):
            raise ValueError(f"expected a lower triangular start, got {value.tolist()}")
        if self.positive:
            if not np.all(np.diagonal(matrix) > 0):
                raise ValueError(f"expected a start with a positive diagonal, got {value.tolist()}")
            size = np.diagonal(matrix).copy()
            matrix /= size[:, None]
            np.fill_diagonal(matrix, np.log(size))
        return matrix[np.tril_indices(len(matrix))]


@dataclass(frozen=True)
class PositiveDefinite:
    """A symmetric positive definite matrix L Lᵀ (n, n), as a covariance:

        L_ij = e^{z_ii} w_ij / |w_i|,   w_ij = z_ij below the diagonal, w_ii = 1

    Its diagonal is e^{2 z_ii}; the other numbers determine the correlations, in any unit.
    """

    def value(self, z, shape):
        z = Triangular().value(z, shape)
        W = jnp.tril(z, -1) + jnp.eye(shape[0], dtype=z.dtype)
        L = W * (jnp.exp(jnp.diagonal(z)) / jnp.linalg.norm(W, axis=1))[:, None]
        return L @ L.T

    def free(self, value):
        _check_square(value)
        try:
            L = np.linalg.cholesky(value)
        except np.linalg.LinAlgError:
            L = None
        if L is None or not np.allclose(value, value.T, atol=1e-8 * np.abs(value).max()):
            raise ValueError(f"expected a symmetric positive definite start, got {value.tolist()}")
        z = L / np.diagonal(L)[:, None]
        np.fill_diagonal(z, np.log(np.diagonal(value)) / 2)
        return Triangular().free(z)


def supports(kind, shape) -> np.ndarray:
    """The range (entries, 2) of each entry of a parameter with a constraint ``kind``.

    >>> supports(PositiveDefinite(), (2, 2)).tolist()
    [[0.0, inf], [-inf, inf], [-inf, inf], [0.0, inf]]
    """
    ranges = np.tile([-np.inf, np.inf], (int(np.prod(shape)), 1))
    if isinstance(kind, Bounded):
        ranges[:] = kind.lower, kind.upper
    elif isinstance(kind, Positive):
        ranges[:, 0] = 0
    elif isinstance(kind, PositiveDefinite) or kind == Triangular(positive=True):
        ranges[:: shape[0] + 1, 0] = 0
    return ranges


@dataclass(frozen=True)
class Prior:
    """θ ~ N(mean, sd²), a row (θ − mean) / sd of the residuals; ``kind`` is its constraint."""

    mean: float
    sd: float
    kind: ParameterConstraint | None = None

    def __post_init__(self):
        if not self.sd > 0:
            raise ValueError(f"sd: expected a standard deviation above 0, got {self.sd}")


def _check_square(value) -> None:
    """Raise ValueError unless a value is a square matrix."""
    if value.ndim != 2 or value.shape[0] != value.shape[1]:
        raise ValueError(f"expected a square matrix, got shape {value.shape}")
