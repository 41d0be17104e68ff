"""The covariance of parameters under a robust loss."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.linearisation import Linearisation, linearise
from sim.fit.problem.losses import prior_loss, residuals
from sim.fit.problem.problem import Problem
from sim.fit.result import Fit


def score(robust, r):
    """ψ = ½ dρ/dr and its derivative ψ′, each with the shape of r."""

    def psi(r):
        weighted, slope = jax.jvp(robust, (r,), (jnp.ones_like(r),))
        return weighted * slope

    return jax.jvp(psi, (r,), (jnp.ones_like(r),))


class HuberLinearisation(NamedTuple):
    """The sum of squares whose minimum has the covariance of a robust loss.

    Attributes:
        problem: with its weights times √h, where h is the mean of ψ′(r) of each output.
        z: its minimum (n,).
        linearisation: of the errors ψ(r) / √h there.
    """

    problem: Problem
    z: Any
    linearisation: Linearisation


def huber_linearisation(problem: Problem, z) -> HuberLinearisation:
    """cov z = h⁻² ψ² (JᵀJ)⁻¹ of each output, with ψ² from its errors.

    Reference: P. J. Huber and E. M. Ronchetti, *Robust Statistics*, 2nd ed., Wiley 2009,
    section 7.6.
    """
    r = jnp.asarray(np.concatenate(residuals(problem, z)), z.dtype) * problem.weights[None]
    psi, slope = map(np.asarray, _jit_score(problem.objective.robust, r))
    # Far from a minimum the slope of a redescending ψ may have any sign.
    h = np.maximum(np.nanmean(slope, axis=0), 0.05)
    loss = 0.5 * np.nansum(psi**2 / h) + float(prior_loss(problem, z))
    plain = replace(
        problem,
        objective=replace(problem.objective, robust=None),
        weights=problem.weights * jnp.asarray(np.sqrt(h), z.dtype),
    )
    return HuberLinearisation(plain, z, linearise(plain, z)._replace(loss=loss))


def huber_at_minimum(fit: Fit) -> HuberLinearisation:
    """The sum of squares that the fit keeps, or a new one where it keeps none."""
    return huber_linearisation(fit.problem, fit.minimum) if fit.huber is None else fit.huber


_jit_score = jax.jit(score, static_argnums=0)
