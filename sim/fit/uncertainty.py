"""How far to trust fitted parameters: covariance, intervals, and what the data leave open."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from sim.fit.parameters import Fixed, Tied, index, searched
from sim.fit.words import listed

# A direction is open where its share of the Fisher information is below this; at the
# square of it the search itself cannot tell.
OPEN = 1e-7


class Uncertainty(NamedTuple):
    """What the data say of the searched parameters, at the minimum of the loss.

    Attributes:
        names: of each searched number, dotted: "mass", "A[0, 1]", and "states[0].position"
            of the first experiment's initial state.
        value, standard_error: (P,).
        covariance: (P, P), σ² (JᵀJ)⁻¹, the inverse of the Fisher information.
        open: in words, the directions that the data do not determine; their standard
            errors are infinite.
    """

    names: tuple[str, ...]
    value: np.ndarray
    standard_error: np.ndarray
    covariance: np.ndarray
    open: tuple[str, ...]

    def interval(self, level: float = 0.95):
        """The interval (P, 2) that covers each parameter at a stated rate."""
        from scipy.stats import norm

        reach = norm.ppf(0.5 + level / 2) * self.standard_error
        return np.stack([self.value - reach, self.value + reach], axis=1)


def uncertainty(problem, z, at) -> Uncertainty:
    """The covariance of all that was searched, by the Fisher information.

        cov z = σ² (JᵀJ)⁻¹,   σ² = Σ r² / (m − n),   cov θ = (∂θ/∂z) cov z (∂θ/∂z)ᵀ

    Args:
        problem, z, at: the problem, its minimum, and `evaluated` there.

    Reference: G. A. F. Seber and C. J. Wild, *Nonlinear Regression*, Wiley 1989,
    section 2.1; L. Ljung, *System Identification*, 2nd ed. 1999, section 9.
    """
    value, slope = (np.asarray(v, float) for v in _values(problem, z))
    names = searched(problem.declared) + _state_names(problem)
    W, undetermined = root(problem, at)
    covariance = slope @ W @ W.T @ slope.T
    said, lost = [], np.zeros(len(value), bool)
    for direction in undetermined:
        along = np.abs(slope @ direction) / np.maximum(np.abs(value), 1e-300)
        moved = along > 0.05 * along.max()
        lost |= moved
        said.append(_said([n for n, m in zip(names, moved, strict=True) if m]))
    error = np.sqrt(np.maximum(np.diagonal(covariance), 0))
    return Uncertainty(names, value, np.where(lost, np.inf, error), covariance, tuple(said))


def variance(problem, loss) -> float:
    """σ² = Σ r² / (m − n), of a weighted error."""
    count = problem.samples + sum(prior is not None for prior in problem.declared.priors)
    return 2 * float(loss) / max(count - problem.unknowns, 1)


def root(problem, at):
    """W (n, k) with cov z = W Wᵀ, and the directions of z that nothing determines, (n − k, n)."""
    R = np.asarray(at.R, float)
    scale = np.linalg.norm(R, axis=0)
    dead = scale <= OPEN**2 * max(scale.max(), np.finfo(float).tiny)
    scale = np.where(dead, 1.0, scale)
    _, s, V = np.linalg.svd(R / scale)
    kept = s > OPEN * s[0]
    W = (V[kept].T / s[kept]) / scale[:, None]
    return np.sqrt(variance(problem, at.loss)) * W, V[~kept] / scale


def _said(names):
    if len(names) == 1:
        return f"{names[0]} has no effect on the outputs: the data say nothing of it"
    return f"{listed(names)}: the data determine only a combination of them, not each"


@jax.jit
def _values(problem, z):
    """The searched parameters and states as numbers, and how they move with z."""

    def flat(z):
        theta, states = problem.parts(z)
        leaves = jax.tree.leaves(problem.parameters(theta))
        kept = [
            jnp.ravel(leaf)
            for leaf, kind in zip(leaves, problem.declared.kinds, strict=True)
            if not isinstance(kind, Fixed | Tied)
        ]
        return jnp.concatenate([*kept, *(s.ravel() for s in states)])

    return flat(z), jax.jacfwd(flat)(z)


def _state_names(problem) -> tuple[str, ...]:
    """Names in the order of z."""
    if not problem.states.free:
        return ()
    like = jax.tree.unflatten(
        problem.states.tree, [np.zeros(shape) for shape in problem.states.shapes]
    )
    names: list[Any] = []
    for i in problem.order:
        for path, leaf in tree_flatten_with_path(like)[0]:
            dotted = keystr(path, simple=True, separator=".")
            stem = f"states[{i}]" + (f".{dotted}" if dotted else "")
            names += [stem + index(k) for k in np.ndindex(leaf.shape)]
    return tuple(names)
