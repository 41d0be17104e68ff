"""Standard errors and covariance of the parameters, and which of them the data do not determine."""

import numpy as np

from sim.fit.result import NoCovariance, Uncertainty, UnidentifiedParameters
from sim.fit.uncertainty.active_bounds import at_active_bound, list_active_bounds
from sim.fit.uncertainty.covariance import covariance_factor
from sim.fit.uncertainty.searched_numbers import (
    searched_names,
    searched_supports,
    searched_values,
    values_and_slopes,
)

# As `OPEN_INFORMATION`, for a curvature, which is its square and which differences made less exact.
OPEN_CURVATURE = 1e-10
# A parameter takes part in an undetermined direction by more than this share: less may be rounding.
MIN_SHARE = 1e-3


def from_fisher_information(problem, z, linearisation) -> Uncertainty:
    """The covariance of all that was searched, from the Fisher information.

        cov z = σ² (JᵀJ)⁻¹,   σ² = Σ r² / (m − n),   cov θ = (∂θ/∂z) cov z (∂θ/∂z)ᵀ

    A prior keeps its stated standard deviation, see `covariance_factor`.

    Args:
        problem, z, linearisation: the problem, its minimum, and `linearise` there.

    Reference: G. A. F. Seber and C. J. Wild, *Nonlinear Regression*, Wiley 1989,
    section 2.1; L. Ljung, *System Identification*, 2nd ed. 1999, section 9.
    """
    factor = covariance_factor(problem, z, linearisation)
    uncertainty = propagate(problem, z, factor.W, factor.null_directions, factor.scale)
    return uncertainty._replace(degrees=factor.degrees)


def from_observed_information(problem, z, hessian) -> Uncertainty:
    """The covariance of a maximum of a likelihood, from the observed information.

        cov z = (∂²L/∂z²)⁻¹,   L = −ℓ,   cov θ = (∂θ/∂z) cov z (∂θ/∂z)ᵀ

    Args:
        problem, z: the problem and its minimum.
        hessian: ∂²L/∂z² (n, n) there, see `curvature`.

    Reference: B. Efron and D. V. Hinkley, Biometrika 65 (1978) 457-487.
    """
    H = np.asarray(hessian, float)
    scale = np.sqrt(np.abs(np.diagonal(H)))
    largest = scale.max() or 1.0
    scale = np.where(scale <= np.sqrt(np.finfo(z.dtype).eps) * largest, largest, scale)
    diagonal_factor = np.diag(np.sqrt(np.abs(np.diagonal(H))))
    scale[at_active_bound(problem, z, diagonal_factor)] = np.inf
    shares, V = np.linalg.eigh((H + H.T) / 2 / scale / scale[:, None])
    determined = shares > max(OPEN_CURVATURE, 1e3 * np.finfo(z.dtype).eps) * shares[-1]
    W = V[:, determined] / np.sqrt(shares[determined]) / scale[:, None]
    return propagate(problem, z, W, V[:, ~determined].T, scale)


def without_covariance(problem, z, reason: NoCovariance) -> Uncertainty:
    """The estimated values alone, with the reason why they have no covariance."""
    value = np.asarray(searched_values(problem, z), float)
    return Uncertainty(
        searched_names(problem),
        value,
        np.full(len(value), np.nan),
        None,
        (),
        bounds=searched_supports(problem),
        at_bound=list_active_bounds(problem, z, at_active_bound(problem, z)),
        no_covariance=reason,
    )


def propagate(problem, z, W, null_directions, scale) -> Uncertainty:
    """The covariance of the parameters from that of z.

    Args:
        problem, z: the problem and its minimum.
        W: (n, k), cov z = W Wᵀ.
        null_directions: (k, n), of scale · z, which the data do not determine.
        scale: (n,), infinite for a number at an active bound.
    """
    value, slope = (np.asarray(v, float) for v in values_and_slopes(problem, z))
    names = searched_names(problem)
    covariance = slope @ W @ W.T @ slope.T
    # The share of a parameter is measured by its effect on the outputs, not by its value.
    steps = slope / scale
    size = np.linalg.norm(steps, axis=1, keepdims=True)
    along = np.divide(steps, size, out=np.zeros_like(steps), where=size > 0) @ null_directions.T
    undetermined = np.linalg.norm(along, axis=1) > MIN_SHARE
    at_bound = ~np.any(slope[:, np.isfinite(scale)], axis=1)
    covariance[at_bound], covariance[:, at_bound] = np.nan, np.nan
    error = np.sqrt(np.maximum(np.diagonal(covariance), 0))
    return Uncertainty(
        names,
        value,
        np.where(undetermined, np.inf, error),
        covariance,
        tuple(
            UnidentifiedParameters(tuple(names[i] for i in group))
            for group in _group_parameters(along, undetermined)
        ),
        bounds=searched_supports(problem),
        root=W,
        at_bound=list_active_bounds(problem, z, np.isinf(scale)),
    )


def _group_parameters(along, undetermined) -> list[list[int]]:
    """Groups of parameters that the data cannot tell apart.

    Two of the ``undetermined`` (P,) belong together where their rows in ``along`` (P, k) are not
    orthogonal; that does not depend on the basis of the k null directions.
    """
    left, groups = list(np.flatnonzero(undetermined)), []
    rows = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), MIN_SHARE)
    while left:
        group, new = [], [left.pop(0)]
        while new:
            group += new
            near = np.abs(rows[left] @ rows[new].T).max(axis=1, initial=0.0) > MIN_SHARE
            new = [i for i, is_near in zip(left, near, strict=True) if is_near]
            left = [i for i in left if i not in new]
        groups.append(sorted(group))
    return groups
