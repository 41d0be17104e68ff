"""Of what was searched, how each number scatters: by the noise of the data, and by priors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.errors import NoForwardMode
from sim.fit.problem.linearisation import Linearisation, linearise
from sim.fit.problem.losses import forward_mode, prior_loss, prior_rows
from sim.fit.problem.quadratic_model import quadratic_model
from sim.fit.result import Fit
from sim.fit.uncertainty import active_bounds

# A direction is open where its share of the Fisher information is below this; at the
# square of it the search itself cannot tell.
OPEN_INFORMATION = 1e-7
# Unknowns up to which a search ends with a covariance.
MAX_UNKNOWNS = 300


class CovarianceFactor(NamedTuple):
    """A covariance by its root.

    Attributes:
        W: (n, k), cov z = W Wᵀ.
        unseen, scale: of scale · z the directions that nothing determines, (·, n); the scale is
            infinite of a number that a bound holds, which is as if it were fixed.
        degrees: of freedom of σ²; infinite of a likelihood.
        variance: σ² of the data in units of their weights; 1 of a likelihood, which has its
            noise inside.
        bare: W₀ (n, k), W₀ W₀ᵀ = (JᵀJ)⁻¹ with the rows of priors among J.
    """

    W: np.ndarray
    unseen: np.ndarray
    scale: np.ndarray
    degrees: float
    variance: float
    bare: np.ndarray

    def share(self, j: int) -> float:
        """cov z_jj / (JᵀJ)⁻¹_jj: σ² of a number that the data tell, or a bound
        holds, 1 of one that a prior does."""
        bare = np.linalg.norm(self.bare[j])
        return float((np.linalg.norm(self.W[j]) / bare) ** 2) if bare > 0 else self.variance


def covariance_factor(problem, z, at) -> CovarianceFactor:
    """cov z = A⁻¹ (σ² D + P) A⁻¹,   A = D + P,   σ² = Σ r² / (m − n + tr A⁻¹P)

    D is JᵀJ of the rows of data, whose noise is known by their residuals, and P that of the
    priors, whose standard deviations are stated. Without any this is σ² (JᵀJ)⁻¹; once outputs
    are weighted by their noise, σ = 1, it is A⁻¹. Of the n unknowns tr A⁻¹P are held by priors.

    Args:
        problem, z, at: the problem, its minimum, and `linearise` there.

    Reference: D. J. C. MacKay, "Bayesian interpolation", Neural Computation 4 (1992) 415-447,
    section 4.
    """
    bare, unseen, scale = _whiten(at, active_bounds.at_active_bound(problem, z, at.R, at.loss))
    if problem.objective.is_likelihood:
        return CovarianceFactor(bare, unseen, scale, np.inf, 1.0, bare)
    held = _prior_shares(problem, z, bare)
    degrees = max(problem.samples - problem.unknowns + np.trace(held), 1)
    variance = 2 * max(float(at.loss) - float(prior_loss(problem, z)), 0.0) / degrees
    if not problem.prior_count:
        return CovarianceFactor(np.sqrt(variance) * bare, unseen, scale, degrees, variance, bare)
    shares, Q = np.linalg.eigh(held)
    shares = np.clip(shares, 0, 1)
    W = bare @ Q * np.sqrt(variance * (1 - shares) + shares)
    return CovarianceFactor(W, unseen, scale, degrees, variance, bare)


def linearisation_at_minimum(fit: Fit) -> Linearisation:
    """What the fit keeps; one evaluation of the model where it keeps none."""
    if fit.linearisation is not None:
        return fit.linearisation
    return quadratic_model(fit.problem, fit.minimum)


def effective_parameters(problem, z, linearisation: Linearisation | None = None) -> float:
    """The number of unknowns that the data determine: n − tr A⁻¹P, without those that the
    priors do.

    Args:
        problem, z: the problem and its minimum.
        linearisation: of the problem at z, if it is known already.
    """
    if problem.objective.is_likelihood or not problem.prior_count or len(z) > MAX_UNKNOWNS:
        return problem.unknowns
    try:
        linearisation = linearisation or linearise(problem, z)
        bare = _whiten(linearisation, np.zeros(len(z), bool))[0]
        return problem.unknowns - float(np.trace(_prior_shares(problem, z, bare)))
    except NoForwardMode:
        return problem.unknowns


def _whiten(at, bound):
    """W₀ (n, k), the directions (n − k, n) of scale · z that nothing determines, that scale (n,),
    without those that are ``bound`` (n,)."""
    R = np.where(bound, 0, np.asarray(at.R, float))
    scale = np.linalg.norm(R, axis=0)
    dead = scale <= OPEN_INFORMATION**2 * max(scale.max(), np.finfo(float).tiny)
    scale = np.where(dead, 1.0, scale)
    scale[bound] = np.inf
    _, s, V = np.linalg.svd(R / scale)
    kept = s > OPEN_INFORMATION * s[0]
    return (V[kept].T / s[kept]) / scale[:, None], V[~kept], scale


def _prior_shares(problem, z, bare) -> np.ndarray:
    """W₀ᵀ P W₀ (k, k), the part of priors in each direction, between 0 and 1."""
    if not problem.prior_count:
        return np.zeros((bare.shape[1],) * 2)
    rows = np.asarray(_prior_slopes(problem, z), float) @ bare
    return rows.T @ rows


@jax.jit
def _prior_slopes(problem, z):
    """Of the rows of all priors along z, (rows, n)."""
    return forward_mode(jax.jacfwd(lambda z: jnp.concatenate(prior_rows(problem, z))), z)
