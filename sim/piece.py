"""An input during one step: a polynomial that a step reads at its own stage times."""

from dataclasses import dataclass, field
from functools import reduce
from operator import add, mul
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass

from sim import check


@register_dataclass
@dataclass(frozen=True)
class Piece:
    """An input during one step: the polynomial through its values at a few fractions.

        u(θ) = Σᵢ ℓᵢ(θ) uᵢ,   ℓᵢ(θ) = Πⱼ≠ᵢ (θ − θⱼ) / (θᵢ − θⱼ)

    Args:
        values: u₀, u₁, …, one pytree per node, all alike.
        nodes: θ₀, θ₁, …, distinct fractions of the step in [0, 1]; static.

    For a number θ that is a node the value is looked up, without arithmetic, so that a NaN
    at another node does not reach it. θ may be traced; the derivative by it is
    dt·du/dt. The values keep their dtype. Pieces stacked along a leading axis
    are one Piece with stacked values.

    Raises:
        ValueError: nodes repeat, leave [0, 1], or do not match the values.

    Reference: J.-P. Berrut and L. N. Trefethen, "Barycentric Lagrange interpolation",
    SIAM Review 46 (2004).

    >>> ramp = Piece(values=(2.0, 4.0), nodes=(0.0, 1.0))
    >>> ramp(0.25), ramp(1.0)
    (2.5, 4.0)
    """

    values: tuple[Any, ...]
    nodes: tuple[float, ...] = field(metadata={"static": True})

    def __post_init__(self):
        nodes = tuple(float(theta) for theta in self.nodes)
        distinct = len(set(nodes)) == len(nodes) > 0
        if not (distinct and all(0 <= theta <= 1 for theta in nodes)):
            raise ValueError(f"nodes: expected distinct fractions in [0, 1], got {nodes}")
        # Inside jax.tree functions the values may be a placeholder.
        if isinstance(self.values, tuple | list) and len(self.values) != len(nodes):
            raise ValueError(
                f"values: expected {len(nodes)}, one for each node, got {len(self.values)}"
            )
        object.__setattr__(self, "nodes", nodes)

    def __call__(self, theta) -> Any:
        """The input at the fraction theta, a number or a traced scalar."""
        if len(self.nodes) == 1:
            return self.values[0]
        if isinstance(theta, jax.Array):
            return _combine(_scale, _lagrange(self.nodes, theta), self.values)
        weights = _lagrange(self.nodes, float(theta))
        if 1.0 in weights and sum(map(bool, weights)) == 1:
            return self.values[weights.index(1.0)]
        used = [i for i, w in enumerate(weights) if w]
        return _combine(mul, [weights[i] for i in used], [self.values[i] for i in used])

    def backwards(self) -> "Piece":
        """The same polynomial for a step that runs from its end to its start: u(1 − θ).

        An integrator with a negative dt reads θ = 0 at the later end of its step. So
        to run back through a record: ``rollout(step, carry, pieces.backwards(),
        reverse=True)``.

        >>> Piece(values=(2.0, 4.0), nodes=(0.0, 1.0)).backwards()(0.25)
        3.5
        """
        return Piece(self.values, tuple(1 - theta for theta in self.nodes))

    def subdivide(self, n: int) -> "Piece":
        """The same polynomial as n pieces, one for each n-th of the step.

        Args:
            n: number of pieces, at least 1.

        Returns:
            A Piece with a new leading axis of length n, in order of time.

        >>> Piece(values=(0.0, 6.0), nodes=(0.0, 1.0)).subdivide(3)(0.5).tolist()
        [1.0, 3.0, 5.0]
        """
        n = check.positive("n", n)
        if len(self.nodes) == 1:
            spread = jax.tree.map(lambda u: jnp.broadcast_to(u, (n, *jnp.shape(u))), self.values)
            return Piece(spread, self.nodes)
        parts = [[_lagrange(self.nodes, (j + theta) / n) for theta in self.nodes] for j in range(n)]
        weights = np.moveaxis(np.array(parts), 0, -1)
        return Piece(tuple(_combine(_outer, rows, self.values) for rows in weights), self.nodes)


def at(x: Any, theta) -> Any:
    """The input of a step at the fraction θ of its length: u(θ) for every Piece in x.

    Args:
        x: any pytree; a `Piece` in it is evaluated, anything else is held.
        theta: fraction of the step, a number or a traced scalar.

    Reference: the stage times cᵢ of E. Hairer, S. P. Nørsett and G. Wanner, *Solving
    Ordinary Differential Equations I*, 2nd ed. (1993), II.1.

    >>> at({"force": Piece((0.0, 1.0), (0.0, 1.0)), "load": 5.0}, 0.5)
    {'force': 0.5, 'load': 5.0}
    """
    return jax.tree.map(lambda p: p(theta) if _is_piece(p) else p, x, is_leaf=_is_piece)


def _is_piece(x):
    return isinstance(x, Piece)


def _lagrange(nodes, theta):
    weights = [1.0] * len(nodes)
    for i, a in enumerate(nodes):
        for j, b in enumerate(nodes):
            if i != j:
                weights[i] = weights[i] * ((theta - b) / (a - b))
    return weights


def _combine(product, weights, values):
    """Σᵢ wᵢ uᵢ for pytrees uᵢ."""
    return jax.tree.map(lambda *us: reduce(add, map(product, weights, us)), *values)


def _scale(weight, u):
    u = inexact(u)
    return jnp.asarray(weight, u.dtype) * u


def _outer(weights, u):
    """weights ⊗ u, where a weight of zero gives zero even for a NaN."""
    u = inexact(u)[None]
    weights = jnp.asarray(weights, u.dtype).reshape(-1, *(1,) * (u.ndim - 1))
    return jnp.where(weights == 0, jnp.zeros((), u.dtype), weights * u)


def inexact(u):
    """u as an array that can be weighted: whole numbers become floats."""
    u = jnp.asarray(u)
    return u if jnp.issubdtype(u.dtype, jnp.inexact) else u.astype(float)
