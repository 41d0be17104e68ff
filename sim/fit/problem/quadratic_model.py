"""The quadratic model of the loss at one z, for sums of squares and likelihoods alike."""

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

    For a sum of squares RᵀR is JᵀJ. For a likelihood it is the Hessian H with each of its
    eigenvalues made positive, so that a step leads downhill from a saddle too.

    Args:
        problem, z: the problem, and the place (n,).
        j: index of a number of z that is held fixed; none by default.

    Reference: Y. N. Dauphin et al., "Identifying and attacking the saddle point problem in
    high-dimensional non-convex optimization", NeurIPS 2014, for |H|.
    """
    if problem.objective.is_likelihood:
        return convex_model(curvature(problem, z), j)
    linearisation = linearise(problem, z)
    return linearisation if j is None else _clear_column(linearisation, j)


def convex_model(curvature: Curvature, j=None) -> Linearisation:
    """The quadratic model of a likelihood, with each eigenvalue of its Hessian made positive.

    Args:
        curvature: of the loss at one place.
        j: index of a number of z that is held fixed, as in `quadratic_model`.
    """
    free = jnp.ones_like(curvature.gradient)
    return _absolute_hessian_factor(*curvature, free if j is None else free.at[j].set(0))


@jax.jit
def _clear_column(linearisation, j):
    return linearisation._replace(R=linearisation.R.at[:, j].set(0))


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
    # In units in which each number alone has the curvature 1: so none hides behind another.
    scale = jnp.sqrt(jnp.abs(jnp.diagonal(H)))
    largest = jnp.max(scale)
    scale = jnp.where(scale > jnp.sqrt(eps) * largest, scale, jnp.where(largest > 0, largest, 1))
    eigenvalues, V = jnp.linalg.eigh((H + H.T) / 2 / jnp.outer(scale, scale))
    eigenvalues = jnp.abs(eigenvalues)
    curved = eigenvalues > 1e3 * eps * jnp.max(eigenvalues)
    root = jnp.sqrt(jnp.where(curved, eigenvalues, 1))
    q = jnp.where(curved, (V.T @ (g / scale)) / root, 0)
    R = jnp.where(curved, root, 0)[:, None] * V.T * scale[None]
    return Linearisation(value, R, q)
