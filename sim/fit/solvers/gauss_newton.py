"""Damped Gauss-Newton for many parameters: no Jacobian is ever formed.

One linearisation of the residuals gives products Jv and Jᵀw, and conjugate gradients need
no more. For few parameters `sim.fit.solvers.levenberg_marquardt` is faster.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx

from sim import check
from sim.fit.problem.losses import forward_mode, loss, residual_vector
from sim.fit.solvers.levenberg_marquardt import update_damping
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK

MAX_REJECTED = 12  # rejected steps in a row before a search is stuck
PROBES = 4


class State(NamedTuple):
    """The state of a search, see `SolverState`.

    Attributes:
        z: (n,), the best place so far.
        loss: ½ |r|² there.
        scale: D (n,), the largest column norms of the Jacobian so far, estimated.
        damping: λ.
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

    def init(self, problem, z) -> State:
        """The state of a search that begins at z."""
        zero = jnp.zeros((), jnp.result_type(int))
        value = loss(problem, z)
        damping = jnp.asarray(1e-3, z.dtype)
        return State(z, value, jnp.zeros_like(z), damping, zero, zero, zero, zero)

    def step(self, problem, state: State, tolerance: float) -> State:
        """The search one step further: the step is accepted if it lowers the loss.

        Raises:
            NoForwardMode: the model has no forward-mode derivative.
        """
        return forward_mode(_step, self, problem, state, tolerance)

    def loss(self, state: State):
        """½ |r|² at the best place so far."""
        return state.loss


@partial(jax.jit, static_argnums=0)
def _step(solver: GaussNewton, problem, state: State, tolerance) -> State:
    r, J = jax.linearize(partial(residual_vector, problem), state.z)
    JT = jax.linear_transpose(J, state.z)
    scale = jnp.maximum(state.scale, _column_norms(JT, r))
    delta = _solve_step(solver, J, JT, r, scale, state.damping)
    change = J(delta)
    predicted_fall = -jnp.sum(r * change) - 0.5 * jnp.sum(change * change)
    z = state.z + delta
    value = loss(problem, z)
    finite = jnp.isfinite(value)
    fall = state.loss - value
    better = finite & (fall > 0)
    gain = fall / jnp.maximum(predicted_fall, jnp.finfo(z.dtype).tiny)
    rejected = jnp.where(better, 0, state.rejected + 1)
    floor = jnp.maximum(tolerance, jnp.finfo(z.dtype).eps) * state.loss
    small = (predicted_fall <= floor) & (better & (fall <= floor) | finite & ~better)
    done = small | (finite & (value == 0))
    status = jnp.where(done, CONVERGED, jnp.where(rejected >= MAX_REJECTED, STUCK, SEARCHING))
    return State(
        jnp.where(better, z, state.z),
        jnp.where(better, value, state.loss),
        scale,
        update_damping(state, gain, better, 2.0),
        rejected,
        state.steps + 1,
        state.non_finite + (~finite).astype(state.non_finite.dtype),
        status.astype(state.status.dtype),
    )


def _column_norms(JT, r):
    """Estimated column norms of J: E (Jᵀ s)ᵢ² = |Jᵢ|² for random signs s, always the same."""
    signs = jax.random.rademacher(jax.random.key(0), (PROBES, *r.shape), r.dtype)
    columns = jnp.sqrt(jnp.mean(jax.vmap(lambda s: JT(s)[0])(signs) ** 2, axis=0))
    # A parameter that changes nothing (yet) is held by a share of the others' scale.
    return jnp.maximum(columns, 1e-3 * jnp.max(columns) + jnp.finfo(r.dtype).tiny)


def _solve_step(solver, J, JT, r, scale, damping):
    """δ, solved in units of 1/D, in which conjugate gradients converge sooner."""

    def product(v):
        return JT(J(v / scale))[0] / scale + damping * v

    structure = jax.ShapeDtypeStruct(scale.shape, scale.dtype)
    operator = lx.FunctionLinearOperator(product, structure, lx.positive_semidefinite_tag)
    method = lx.CG(solver.accuracy, 0.0, max_steps=solver.products)
    solution = lx.linear_solve(operator, -JT(r)[0] / scale, method, throw=False)
    return solution.value / scale
