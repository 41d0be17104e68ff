"""How far to trust fitted parameters: covariance, intervals, and what the data leave open."""

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.parameters.constraints import Fixed, Tied, supports
from sim.fit.parameters.vector import free_names, state_name
from sim.fit.result import Uncertainty
from sim.fit.uncertainty import active_bounds
from sim.fit.uncertainty.covariance import covariance_factor
from sim.messages import join_names

# As `OPEN`, of a curvature, which is the square of it and has lost digits to differences.
OPEN_CURVATURE = 1e-10
# A parameter has part in an open direction by more than this share: less may be rounding.
MIN_SHARE = 1e-3


def from_fisher_information(problem, z, at) -> Uncertainty:
    """The covariance of all that was searched, by the Fisher information.

        cov z = σ² (JᵀJ)⁻¹,   σ² = Σ r² / (m − n),   cov θ = (∂θ/∂z) cov z (∂θ/∂z)ᵀ

    What has a prior keeps the standard deviation that this states, see `covariance_factor`.

    Args:
        problem, z, at: the problem, its minimum, and `evaluated` there.

    Reference: G. A. F. Seber and C. J. Wild, *Nonlinear Regression*, Wiley 1989,
    section 2.1; L. Ljung, *System Identification*, 2nd ed. 1999, section 9.
    """
    found = covariance_factor(problem, z, at)
    return propagate(problem, z, found.W, found.unseen, found.scale)._replace(degrees=found.degrees)


def from_observed_information(problem, z, hessian) -> Uncertainty:
    """The covariance of a maximum of a likelihood, by the observed information.

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
    scale[active_bounds.at_active_bound(problem, z, np.diag(np.sqrt(np.abs(np.diagonal(H)))))] = (
        np.inf
    )
    shares, V = np.linalg.eigh((H + H.T) / 2 / scale / scale[:, None])
    kept = shares > max(OPEN_CURVATURE, 1e3 * np.finfo(z.dtype).eps) * shares[-1]
    W = V[:, kept] / np.sqrt(shares[kept]) / scale[:, None]
    return propagate(problem, z, W, V[:, ~kept].T, scale)


def without_covariance(problem, z, why: str) -> Uncertainty:
    """The searched values alone, and why they have no covariance."""
    value, said = np.asarray(flat_values(problem, z), float), f"{why}: no covariance was computed"
    names = free_names(problem.layout) + _free_state_names(problem)
    return Uncertainty(
        names,
        value,
        np.full(len(value), np.nan),
        None,
        (said,),
        np.inf,
        _all_supports(problem),
        None,
        active_bounds.active_bound_messages(problem, z, active_bounds.at_active_bound(problem, z)),
    )


def propagate(problem, z, W, unseen, scale) -> Uncertainty:
    """What cov z = W Wᵀ says of the parameters, and the directions ``unseen`` (k, n) of
    scale · z that the data do not determine."""
    value, slope = (np.asarray(v, float) for v in values_and_slopes(problem, z))
    names = free_names(problem.layout) + _free_state_names(problem)
    covariance = slope @ W @ W.T @ slope.T
    # Counted by what it moves the outputs: a value near 0 has no less part in a direction.
    steps = slope / scale
    size = np.linalg.norm(steps, axis=1, keepdims=True)
    along = np.divide(steps, size, out=np.zeros_like(steps), where=size > 0) @ unseen.T
    lost = np.linalg.norm(along, axis=1) > MIN_SHARE
    said = tuple(
        _describe_direction([names[i] for i in group]) for group in _group_parameters(along, lost)
    )
    held = ~np.any(slope[:, np.isfinite(scale)], axis=1)
    covariance[held], covariance[:, held] = np.nan, np.nan
    error = np.sqrt(np.maximum(np.diagonal(covariance), 0))
    return Uncertainty(
        names,
        value,
        np.where(lost, np.inf, error),
        covariance,
        said,
        np.inf,
        _all_supports(problem),
        W,
        active_bounds.active_bound_messages(problem, z, np.isinf(scale)),
    )


def _group_parameters(along, lost):
    """Which parameters (P,) of those that are lost move together: two do where their rows in
    ``along`` (P, k) are not at right angles, whatever basis the k directions are in."""
    left, groups = list(np.flatnonzero(lost)), []
    rows = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), MIN_SHARE)
    while left:
        group, new = [], [left.pop(0)]
        while new:
            group += new
            near = np.abs(rows[left] @ rows[new].T).max(axis=1, initial=0.0) > MIN_SHARE
            new = [i for i, close in zip(left, near, strict=True) if close]
            left = [i for i in left if i not in new]
        groups.append(sorted(group))
    return groups


def _describe_direction(names):
    if len(names) == 1:
        return f"{names[0]} has no effect on the outputs: the data say nothing of it"
    return f"{join_names(names)}: the data determine only a combination of them, not each"


@jax.jit
def values_and_slopes(problem, z):
    """The searched parameters and states as numbers, and how they move with z."""
    return flat_values(problem, z), jax.jacfwd(flat_values, 1)(problem, z)


def flat_values(problem, z):
    theta, states = problem.split_vector(z)
    found = _free_leaves(problem.layout, problem.parameters(theta))
    if problem.states.free:
        for given, s in zip(problem.initial_states, states, strict=True):

            def own(s, given):
                return jnp.concatenate(
                    _free_leaves(problem.states.layout, problem.states.unpack(s, given))
                )

            found.append(jax.vmap(own)(s, given).ravel())
    return jnp.concatenate(found)


def _free_leaves(declared, parameters):
    rows = zip(jax.tree.leaves(parameters), declared.kinds, strict=True)
    return [jnp.ravel(leaf) for leaf, kind in rows if not isinstance(kind, Fixed | Tied)]


def _all_supports(problem):
    """(P, 2), in the order of z."""
    states = [problem.states.layout] * len(problem.order) if problem.states.free else []
    return np.concatenate(
        [
            supports(kind, shape)
            for declared in (problem.layout, *states)
            for kind, shape in zip(declared.kinds, declared.shapes, strict=True)
            if not isinstance(kind, Fixed | Tied)
        ]
    )


def _free_state_names(problem) -> tuple[str, ...]:
    """Names in the order of z."""
    if not problem.states.free:
        return ()
    return tuple(
        state_name(problem.states.layout, i, name)
        for i in problem.order
        for name in free_names(problem.states.layout)
    )
