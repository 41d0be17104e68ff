"""Levenberg and Marquardt's method, between evaluations of the residuals.

A search of few parameters: `propose` says where to look next, the caller evaluates the
residuals there, and `accept_or_reject` takes the place or turns back. The state of a search is one
pytree of arrays, so that a search may be saved, continued, or run for many starts by `vmap`.

Why not optimistix: here one forward-mode pass gives residual and Jacobian together, long
records reach the method as a triangle of n rows, and what is saved goes on bit for bit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from sim.fit.problem.linearisation import Linearisation
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK

MAX_REJECTED = 12  # rejected steps in a row before a search is stuck


class State(NamedTuple):
    """The state of a search.

    Attributes:
        z: (n,), the best place yet.
        linearisation: loss, R and q there.
        scale: (n,), the largest column norms of the Jacobian yet.
        damping: λ.
        rejected: steps in a row that did not lower the loss.
        steps: evaluations after the first.
        non_finite: how many of them were not finite.
        status: `SEARCHING`, `CONVERGED` or `STUCK`.
        grad, location: None, see `SolverState`.
    """

    z: jax.Array
    linearisation: Linearisation
    scale: jax.Array
    damping: jax.Array
    rejected: jax.Array
    steps: jax.Array
    non_finite: jax.Array
    status: jax.Array
    grad: None = None
    location: None = None


def init(z, linearisation: Linearisation) -> State:
    """The state of a search that begins at z."""
    whole = jnp.zeros((), jnp.result_type(int))
    damping = jnp.asarray(0.1, z.dtype)
    scale = _column_scale(linearisation.R)
    return State(z, linearisation, scale, damping, whole, whole, whole, whole)


def _column_scale(R):
    scale = jnp.linalg.norm(R, axis=0)
    # A parameter that changes nothing (yet) is held by a share of the others' scale.
    largest = jnp.max(scale)
    return jnp.maximum(scale, jnp.where(largest > 0, 1e-6 * largest, 1))


def propose(search: State):
    """z + δ with (JᵀJ + λ D²) δ = −Jᵀ r, by orthogonal triangles: no square is formed."""
    n = len(search.z)
    held = jnp.diag(jnp.sqrt(search.damping) * search.scale)
    right = jnp.concatenate([search.linearisation.q, jnp.zeros_like(search.linearisation.q)])
    both = jnp.concatenate(
        [jnp.concatenate([search.linearisation.R, held]), right[:, None]], axis=1
    )
    triangle = jnp.linalg.qr(both, mode="r")
    delta = jax.scipy.linalg.solve_triangular(triangle[:n, :n], triangle[:n, n])
    return search.z - delta


def accept_or_reject(search: State, z, found: Linearisation, tolerance) -> State:
    """The search after its proposal z was evaluated.

    The step is taken where the loss falls. It has converged where a full step is foretold to
    lower the loss by less than ``tolerance`` of it. Of the factors of λ tried on five records,
    these took few evaluations and found the deepest minimum of each.
    """
    delta = z - search.z
    linear = search.linearisation.R @ delta + search.linearisation.q
    foretold = 0.5 * jnp.sum(search.linearisation.q**2) - 0.5 * jnp.sum(linear**2)
    finite = jnp.isfinite(found.loss) & jnp.all(jnp.isfinite(found.R))
    gain = (search.linearisation.loss - found.loss) / jnp.maximum(foretold, jnp.finfo(z.dtype).tiny)
    better = finite & (found.loss < search.linearisation.loss)
    rejected = jnp.where(better, 0, search.rejected + 1)
    # What is left of the loss that the Jacobian can lower at all is |q|².
    floor = tolerance * (jnp.abs(search.linearisation.loss) + jnp.finfo(z.dtype).tiny)
    fell = search.linearisation.loss - found.loss
    small = (foretold <= floor) & (better & (fell <= floor) | finite & ~better)
    # Where even a full step from here is foretold to change nothing, none is tried.
    least = better & (0.5 * jnp.sum(found.q**2) <= tolerance * jnp.abs(found.loss))
    done = small | least | (found.loss == 0)
    status = jnp.where(done, CONVERGED, jnp.where(rejected >= MAX_REJECTED, STUCK, SEARCHING))
    kept = jax.tree.map(lambda a, b: jnp.where(better, a, b), found, search.linearisation)
    return State(
        jnp.where(better, z, search.z),
        kept,
        jnp.maximum(_column_scale(kept.R), search.scale),
        update_damping(search, gain, better, 4.0),
        rejected,
        search.steps + 1,
        search.non_finite + (~finite).astype(search.non_finite.dtype),
        status.astype(search.status.dtype),
    )


def update_damping(search, gain, better, growth: float):
    """λ after a step: shrunk by how well the linear model had foretold it (Nielsen), and grown
    ever faster with every step that is turned back."""
    grown = search.damping * growth ** (search.rejected + 1).astype(gain.dtype)
    shrunk = search.damping * jnp.maximum(0.1, 1 - (2 * jnp.clip(gain, 0, 1) - 1) ** 3)
    return jnp.clip(jnp.where(better, shrunk, grown), 1e-12, 1e12)
