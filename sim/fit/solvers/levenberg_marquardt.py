"""The method of Levenberg and Marquardt, for few parameters.

`propose` says where to look next, the caller linearises the residuals there, and
`accept_or_reject` moves or stays. The state is one pytree of arrays, so that a search can be
saved, continued, or run for many starts by `vmap`.

Why not optimistix: here one forward-mode pass gives residual and Jacobian together, long
records reach the method as a triangle of n rows, and a saved search goes on bit for bit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from sim.fit.problem.linearisation import Linearisation, linearise
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK, Solver

MAX_REJECTED = 12  # rejected steps in a row before a search is stuck


class State(NamedTuple):
    """The state of a search, see `SolverState`.

    Attributes:
        z: (n,), the best place so far.
        linearisation: loss, R and q there.
        scale: D (n,), the largest column norms of the Jacobian so far.
        damping: λ.
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
    zero = jnp.zeros((), jnp.result_type(int))
    damping = jnp.asarray(0.1, z.dtype)
    return State(z, linearisation, _column_scale(linearisation.R), damping, zero, zero, zero, zero)


def propose(state: State):
    """z + δ with (JᵀJ + λ D²) δ = −Jᵀ r, by orthogonal triangles: no square is formed."""
    n, linearisation = len(state.z), state.linearisation
    damping = jnp.diag(jnp.sqrt(state.damping) * state.scale)
    right = jnp.concatenate([linearisation.q, jnp.zeros_like(linearisation.q)])
    both = jnp.concatenate([jnp.concatenate([linearisation.R, damping]), right[:, None]], axis=1)
    triangle = jnp.linalg.qr(both, mode="r")
    delta = jax.scipy.linalg.solve_triangular(triangle[:n, :n], triangle[:n, n])
    return state.z - delta


def accept_or_reject(state: State, z, proposed: Linearisation, tolerance) -> State:
    """The state after the proposed z was evaluated.

    The step is accepted if the loss falls. The search has converged if the linear model
    predicts that a full step lowers the loss by less than ``tolerance`` of it. Of the factors
    of λ tried on five records, these took few evaluations and reached the deepest minimum of
    each.
    """
    before = state.linearisation
    delta = z - state.z
    linear = before.R @ delta + before.q
    predicted_fall = 0.5 * jnp.sum(before.q**2) - 0.5 * jnp.sum(linear**2)
    finite = jnp.isfinite(proposed.loss) & jnp.all(jnp.isfinite(proposed.R))
    fall = before.loss - proposed.loss
    gain = fall / jnp.maximum(predicted_fall, jnp.finfo(z.dtype).tiny)
    better = finite & (proposed.loss < before.loss)
    rejected = jnp.where(better, 0, state.rejected + 1)
    # What is left of the loss that the Jacobian can lower at all is |q|².
    floor = tolerance * (jnp.abs(before.loss) + jnp.finfo(z.dtype).tiny)
    small = (predicted_fall <= floor) & (better & (fall <= floor) | finite & ~better)
    # No step is tried from a place where even a full one is predicted to change nothing.
    flat = better & (0.5 * jnp.sum(proposed.q**2) <= tolerance * jnp.abs(proposed.loss))
    done = small | flat | (proposed.loss == 0)
    status = jnp.where(done, CONVERGED, jnp.where(rejected >= MAX_REJECTED, STUCK, SEARCHING))
    after = jax.tree.map(lambda a, b: jnp.where(better, a, b), proposed, before)
    return State(
        jnp.where(better, z, state.z),
        after,
        jnp.maximum(_column_scale(after.R), state.scale),
        update_damping(state, gain, better, 4.0),
        rejected,
        state.steps + 1,
        state.non_finite + (~finite).astype(state.non_finite.dtype),
        status.astype(state.status.dtype),
    )


def update_damping(state, gain, better, growth: float):
    """λ after a step: smaller, the better the linear model predicted the fall (Nielsen); or
    larger, by a factor that grows with every step that is rejected."""
    grown = state.damping * growth ** (state.rejected + 1).astype(gain.dtype)
    shrunk = state.damping * jnp.maximum(0.1, 1 - (2 * jnp.clip(gain, 0, 1) - 1) ** 3)
    return jnp.clip(jnp.where(better, shrunk, grown), 1e-12, 1e12)


def minimise(
    solver: Solver,
    problem,
    state,
    steps: int,
    tolerance: float,
    on_step: Callable | None = None,
):
    """The state at the end of a search.

    Args:
        solver: such as `LevenbergMarquardt()`.
        problem, state, tolerance: as ``solver.step`` takes them.
        steps: evaluations at most, those before included.
        on_step: called with the state after each evaluation.
    """
    while int(state.steps) < steps and int(state.status) == SEARCHING:
        state = solver.step(problem, state, tolerance)
        if on_step is not None:
            on_step(state)
    return state


@dataclass(frozen=True)
class LevenbergMarquardt:
    """The solver of `fit` for a sum of squares over whole records.

    Reference: J. J. Moré, "The Levenberg-Marquardt algorithm: implementation and theory",
    Lecture Notes in Mathematics 630, Springer 1978; H. B. Nielsen, IMM-REP-1999-05, Technical
    University of Denmark, for λ.
    """

    def init(self, problem, z) -> State:
        """The state of a search that begins at z."""
        return _init(z, linearise(problem, z))

    def step(self, problem, state: State, tolerance: float) -> State:
        """The search one evaluation further."""
        z = _propose(state)
        return _accept_or_reject(state, z, linearise(problem, z), jnp.asarray(tolerance, z.dtype))

    def loss(self, state: State):
        """½ |r|² at the best place so far."""
        return state.linearisation.loss


def _column_scale(R):
    scale = jnp.linalg.norm(R, axis=0)
    # A parameter that changes nothing (yet) is held by a share of the others' scale.
    largest = jnp.max(scale)
    return jnp.maximum(scale, jnp.where(largest > 0, 1e-6 * largest, 1))


_init, _propose, _accept_or_reject = map(jax.jit, (init, propose, accept_or_reject))
