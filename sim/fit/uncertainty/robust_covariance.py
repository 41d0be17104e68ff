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
    """ψ = ½ dρ/dr, and its slope, each shaped as r."""

    def psi(r):
        counted, slope = jax.jvp(robust, (r,), (jnp.ones_like(r),))
        return counted * slope

    return jax.jvp(psi, (r,), (jnp.ones_like(r),))


class HuberLinearisation(NamedTuple):
    """The sum of squares whose minimum scatters as that of a robust loss does.

    Attributes:
        problem: with its weights times √h, h = the mean of ψ′(r) of each output.
        z, at: its minimum, and what is known there: of the errors ψ(r) / √h.
    """

    problem: Problem
    z: Any
    at: Linearisation


def huber_linearisation(problem: Problem, z) -> HuberLinearisation:
    """cov z = h⁻² ψ² (JᵀJ)⁻¹ of each output, by its errors in place of ψ².

    Reference: P. J. Huber and E. M. Ronchetti, *Robust Statistics*, 2nd ed., Wiley 2009,
    section 7.6.
    """
    r = jnp.asarray(np.concatenate(residuals(problem, z)), z.dtype) * problem.weights[None]
    psi, slope = map(np.asarray, _jit_score(problem.objective.robust, r))
    # Far from a minimum the slope of a redescending ψ may be anything.
    h = np.maximum(np.nanmean(slope, axis=0), 0.05)
    loss = 0.5 * np.nansum(psi**2 / h) + float(prior_loss(problem, z))
    plain = replace(
        problem,
        objective=replace(problem.objective, robust=None),
        weights=problem.weights * jnp.asarray(np.sqrt(h), z.dtype),
    )
    return HuberLinearisation(plain, z, linearise(plain, z)._replace(loss=loss))


def huber_at_minimum(fit: Fit) -> HuberLinearisation:
    """What the fit keeps; an evaluation of the model where it keeps none."""
    return huber_linearisation(fit.problem, fit.minimum) if fit.huber is None else fit.huber


_jit_score = jax.jit(score, static_argnums=0)
