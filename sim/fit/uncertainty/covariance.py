"""Covariance of the estimates, from the noise of the data and the priors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.errors import NoForwardMode
from sim.fit.problem.linearisation import Linearisation, linearise
from sim.fit.problem.losses import forward_mode, prior_loss, prior_rows
from sim.fit.problem.quadratic_model import quadratic_model
from sim.fit.result import Fit
from sim.fit.uncertainty.active_bounds import at_active_bound

# A direction is undetermined where its share of the Fisher information is below this; below the
# square of it the search itself cannot tell.
OPEN_INFORMATION = 1e-7
# The largest number of unknowns for which a covariance is computed.
MAX_UNKNOWNS = 300


class CovarianceFactor(NamedTuple):
    """A factor W of the covariance of z.

    Attributes:
        W: (n, k), cov z = W Wᵀ.
        null_directions: (·, n), of scale · z, which neither data nor priors determine.
        scale: (n,), infinite for a number at an active bound, which counts as fixed.
        degrees: of freedom of σ²; infinite of a likelihood.
        variance: σ² of the data in units of their weights; 1 for a likelihood, which has its
            noise inside.
        unscaled: W₀ (n, k), W₀ W₀ᵀ = (JᵀJ)⁻¹ with the rows of priors among those of J.
    """

    W: np.ndarray
    null_directions: np.ndarray
    scale: np.ndarray
    degrees: float
    variance: float
    unscaled: np.ndarray

    def variance_ratio(self, j: int) -> float:
        """cov z_jj / (JᵀJ)⁻¹_jj: σ² for a number that the data determine, or at an active bound;
        1 for one that a prior determines."""
        norm = np.linalg.norm(self.unscaled[j])
        return float((np.linalg.norm(self.W[j]) / norm) ** 2) if norm > 0 else self.variance


def covariance_factor(problem, z, linearisation: Linearisation) -> CovarianceFactor:
    """cov z = A⁻¹ (σ² D + P) A⁻¹,   A = D + P,   σ² = Σ r² / (m − n + tr A⁻¹P)

    D is JᵀJ of the rows of data, whose noise is estimated from their residuals, and P that of the
    priors, whose standard deviations are given. Without priors this is σ² (JᵀJ)⁻¹; where the
    outputs are weighted by their noise, σ = 1, it is A⁻¹. The priors determine tr A⁻¹P of the n
    unknowns.

    Args:
        problem, z, linearisation: the problem, its minimum, and `linearise` there.

    Reference: D. J. C. MacKay, "Bayesian interpolation", Neural Computation 4 (1992) 415-447,
    section 4.
    """
    at_bound = at_active_bound(problem, z, linearisation.R, linearisation.loss)
    unscaled, null_directions, scale = _whiten(linearisation, at_bound)
    if problem.objective.is_likelihood:
        return CovarianceFactor(unscaled, null_directions, scale, np.inf, 1.0, unscaled)
    prior_shares = _prior_shares(problem, z, unscaled)
    degrees = max(problem.samples - problem.unknowns + np.trace(prior_shares), 1)
    data_loss = float(linearisation.loss) - float(prior_loss(problem, z))
    variance = 2 * max(data_loss, 0.0) / degrees
    if problem.prior_count:
        shares, Q = np.linalg.eigh(prior_shares)
        shares = np.clip(shares, 0, 1)
        W = unscaled @ Q * np.sqrt(variance * (1 - shares) + shares)
    else:
        W = np.sqrt(variance) * unscaled
    return CovarianceFactor(W, null_directions, scale, degrees, variance, unscaled)


def linearisation_at_minimum(fit: Fit) -> Linearisation:
    """The linearisation that the fit keeps, or a new one where it keeps none."""
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
        unscaled = _whiten(linearisation, np.zeros(len(z), bool))[0]
        return problem.unknowns - float(np.trace(_prior_shares(problem, z, unscaled)))
    except NoForwardMode:
        return problem.unknowns


def _whiten(linearisation, at_bound):
    """W₀ (n, k), the null directions (n − k, n) and the scale (n,) of a `CovarianceFactor`."""
    R = np.where(at_bound, 0, np.asarray(linearisation.R, float))
    scale = np.linalg.norm(R, axis=0)
    without_effect = scale <= OPEN_INFORMATION**2 * max(scale.max(), np.finfo(float).tiny)
    scale = np.where(without_effect, 1.0, scale)
    scale[at_bound] = np.inf
    _, s, V = np.linalg.svd(R / scale)
    determined = s > OPEN_INFORMATION * s[0]
    return (V[determined].T / s[determined]) / scale[:, None], V[~determined], scale


def _prior_shares(problem, z, unscaled) -> np.ndarray:
    """W₀ᵀ P W₀ (k, k), the share of the priors in each direction, between 0 and 1."""
    if not problem.prior_count:
        return np.zeros((unscaled.shape[1],) * 2)
    rows = np.asarray(_prior_slopes(problem, z), float) @ unscaled
    return rows.T @ rows


@jax.jit
def _prior_slopes(problem, z):
    """The derivatives of the rows of all priors with respect to z, (rows, n)."""
    return forward_mode(jax.jacfwd(lambda z: jnp.concatenate(prior_rows(problem, z))), z)
