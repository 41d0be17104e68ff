"""Damped Gauss-Newton for many parameters: no Jacobian is ever formed.

One linearisation of the residuals gives products Jv and Jᵀw, and conjugate gradients need
no more. A search of few parameters is better served by `sim.fit.solvers.levenberg_marquardt`.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx

from sim import check
from sim.fit.problem.losses import loss, residual_vector
from sim.fit.solvers.levenberg_marquardt import update_damping
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK

MAX_REJECTED = 12  # rejected steps in a row before a search is stuck
PROBES = 4


@dataclass(frozen=True)
class GaussNewton:
    """(JᵀJ + λ D²) δ = −Jᵀ r by conjugate gradients, for `fit(…, solver=GaussNewton())`.

    Args:
        products: JᵀJ times a vector, at most, for one δ.
        accuracy: relative, of δ.

    Reference: J. Nocedal and S. J. Wright, *Numerical Optimization*, 2nd ed., Springer
    2006, sections 7.1 and 10.3.
    """

    products: int = 200
    accuracy: float = 1e-3

    def __post_init__(self):
        check.positive("products", self.products)
        if not 0 < self.accuracy < 1:
            raise ValueError(f"accuracy: expected between 0 and 1, got {self.accuracy}")


class State(NamedTuple):
    """The state of a search.

    Attributes:
        z: (n,), the best place yet.
        loss: ½ |r|² there.
        scale: D (n,), the largest column norms of the Jacobian yet, about.
        damping: λ.
        rejected: steps in a row that did not lower the loss.
        steps: evaluations after the first.
        non_finite: how many of them were not finite.
        status: `SEARCHING`, `CONVERGED` or `STUCK`.
        linearisation, grad, location: None, see `SolverState`.
    """

    z: jax.Array
    loss: jax.Array
    scale: jax.Array
    damping: jax.Array
    rejected: jax.Array
    steps: jax.Array
    non_finite: jax.Array
    status: jax.Array
    linearisation: None = None
    grad: None = None
    location: None = None


def init(solver, problem, z) -> State:
    """The state of a search that begins at z."""
    whole = jnp.zeros((), jnp.result_type(int))
    value = loss(problem, z)
    damping = jnp.asarray(1e-3, z.dtype)
    return State(z, value, jnp.zeros_like(z), damping, whole, whole, whole, whole)


@partial(jax.jit, static_argnums=0)
def step(solver: GaussNewton, problem, search: State, tolerance) -> State:
    """The search one step further: taken where it lowers the loss, else damped more."""
    r, J = jax.linearize(partial(residual_vector, problem), search.z)
    JT = jax.linear_transpose(J, search.z)
    scale = jnp.maximum(search.scale, _column_norms(JT, r))
    delta = _solve_step(solver, J, JT, r, scale, search.damping)
    moved = J(delta)
    foretold = -jnp.sum(r * moved) - 0.5 * jnp.sum(moved * moved)
    z = search.z + delta
    value = loss(problem, z)
    finite = jnp.isfinite(value)
    fell = search.loss - value
    better = finite & (fell > 0)
    gain = fell / jnp.maximum(foretold, jnp.finfo(z.dtype).tiny)
    rejected = jnp.where(better, 0, search.rejected + 1)
    floor = jnp.maximum(tolerance, jnp.finfo(z.dtype).eps) * search.loss
    still = (foretold <= floor) & (better & (fell <= floor) | finite & ~better)
    done = still | (finite & (value == 0))
    status = jnp.where(done, CONVERGED, jnp.where(rejected >= MAX_REJECTED, STUCK, SEARCHING))
    return State(
        jnp.where(better, z, search.z),
        jnp.where(better, value, search.loss),
        scale,
        update_damping(search, gain, better, 2.0),
        rejected,
        search.steps + 1,
        search.non_finite + (~finite).astype(search.non_finite.dtype),
        status.astype(search.status.dtype),
    )


def _column_norms(JT, r):
    """The column norms of J, about: E (Jᵀ s)ᵢ² = |Jᵢ|² for s of random signs, always the same."""
    signs = jax.random.rademacher(jax.random.key(0), (PROBES, *r.shape), r.dtype)
    columns = jnp.sqrt(jnp.mean(jax.vmap(lambda s: JT(s)[0])(signs) ** 2, axis=0))
    # A parameter that changes nothing (yet) is held by a share of the others' scale.
    return jnp.maximum(columns, 1e-3 * jnp.max(columns) + jnp.finfo(r.dtype).tiny)


def _solve_step(solver, J, JT, r, scale, damping):
    """δ, in units of 1/D, in which conjugate gradients converge sooner."""

    def product(v):
        return JT(J(v / scale))[0] / scale + damping * v

    like = jax.ShapeDtypeStruct(scale.shape, scale.dtype)
    operator = lx.FunctionLinearOperator(product, like, lx.positive_semidefinite_tag)
    method = lx.CG(solver.accuracy, 0.0, max_steps=solver.products)
    found = lx.linear_solve(operator, -JT(r)[0] / scale, method, throw=False)
    return found.value / scale
