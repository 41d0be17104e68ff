"""The loss near a place, as the method of Levenberg and Marquardt sees it: of sums of squares
and of likelihoods alike.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from sim.fit.problem.linearisation import Linearisation, linearise
from sim.fit.problem.losses import forward_mode, loss
from sim.fit.problem.problem import Problem


class Curvature(NamedTuple):
    """The loss at one z, its gradient (n,) and its Hessian (n, n)."""

    loss: jax.Array
    gradient: jax.Array
    hessian: jax.Array


def quadratic_model(problem: Problem, z, j=None) -> Linearisation:
    """L(z + δ) ≈ L(z) + qᵀ R δ + ½ |R δ|²,   Rᵀq = ∂L/∂z

    RᵀR is JᵀJ of a sum of squares. Of a likelihood it is the curvature H with each of its
    eigenvalues made positive, so that a step leads downhill from a saddle too.

    Args:
        problem, z: the problem, and the place (n,).
        j: of the number in z that is held, as if it moved nothing; none by default.

    Reference: Y. N. Dauphin et al., "Identifying and attacking the saddle point problem in
    high-dimensional non-convex optimization", NeurIPS 2014, for |H|.
    """
    if problem.objective.is_likelihood:
        return convex_model(curvature(problem, z), j)
    at = linearise(problem, z)
    return at if j is None else _hold_column(at, j)


def convex_model(curvature: Curvature, j=None) -> Linearisation:
    """The quadratic model of a likelihood, with each eigenvalue of its Hessian made positive.

    Args:
        curvature: of the loss at one place.
        j: of the number in z that is held, as in `quadratic_model`.
    """
    free = jnp.ones_like(curvature.gradient)
    return _absolute_hessian_factor(*curvature, free if j is None else free.at[j].set(0))


@jax.jit
def _hold_column(at, j):
    return at._replace(R=at.R.at[:, j].set(0))


@jax.jit
def curvature(problem: Problem, z) -> Curvature:
    """The loss of a likelihood at z (n,), its gradient and its Hessian."""

    def slope(z):
        value, g = jax.value_and_grad(loss, 1)(problem, z)
        return g, (value, g)

    H, (value, g) = forward_mode(jax.jacfwd(slope, has_aux=True), z)
    return Curvature(value, g, H)


@jax.jit
def _absolute_hessian_factor(value, g, H, free):
    H, g, eps = H * jnp.outer(free, free), g * free, jnp.finfo(g.dtype).eps
    # In units in which each number by itself is bent by 1: so none hides behind another.
    scale = jnp.sqrt(jnp.abs(jnp.diagonal(H)))
    largest = jnp.max(scale)
    scale = jnp.where(scale > jnp.sqrt(eps) * largest, scale, jnp.where(largest > 0, largest, 1))
    shares, V = jnp.linalg.eigh((H + H.T) / 2 / jnp.outer(scale, scale))
    shares = jnp.abs(shares)
    bent = shares > 1e3 * eps * jnp.max(shares)
    root = jnp.sqrt(jnp.where(bent, shares, 1))
    along = jnp.where(bent, (V.T @ (g / scale)) / root, 0)
    R = jnp.where(bent, root, 0)[:, None] * V.T * scale[None]
    return Linearisation(value, R, along)
