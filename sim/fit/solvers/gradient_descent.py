"""Gradient descent by any transformation of optax, one evaluation at a time.

The state of a search is one pytree of arrays: what is saved goes on bit for bit.
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from sim.fit.problem.losses import loss
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK

MAX_REFUSED = 30  # refused steps in a row before a search is stuck


class State(NamedTuple):
    """The state of a search.

    Attributes:
        z: (n,), where it stands.
        loss, grad: what is known there.
        optimiser: optax's own state.
        share: of the optimiser's step that is tried; halved by every refusal, and doubled
            up to 1 by every step that is taken.
        rejected: steps in a row that led to no finite place.
        steps: evaluations after the first.
        non_finite: how many of them were not finite.
        status: `SEARCHING`, `CONVERGED` or `STUCK`.
        linearisation, location: None, see `SolverState`.
    """

    z: jax.Array
    loss: jax.Array
    grad: jax.Array
    optimiser: Any
    share: jax.Array
    rejected: jax.Array
    steps: jax.Array
    non_finite: jax.Array
    status: jax.Array
    linearisation: None = None
    location: None = None


@cache
def lbfgs():
    """One L-BFGS for all searches, so that they share what is compiled."""
    return optax.lbfgs()


_value_and_grad = jax.jit(jax.value_and_grad(loss, 1))


def init(solver, problem, z) -> State:
    """The state of a search that begins at z."""
    value, grad = _value_and_grad(problem, z)
    whole = jnp.zeros((), jnp.result_type(int))
    # Of optax some numbers have weak types, with which the first step would compile by itself.
    optimiser = jax.tree.map(lambda x: jnp.asarray(x, x.dtype), solver.init(z))
    return State(z, value, grad, optimiser, jnp.ones_like(value), whole, whole, whole, whole)


@partial(jax.jit, static_argnums=0)
def step(solver, problem, search: State, tolerance) -> State:
    """The search one step of the optimiser further.

    A place where the loss or its slope is not finite is refused. The search has converged
    where the slope foretells, and the step brings, a change of less than ``tolerance`` of
    the loss.
    """

    def value_fn(z):
        return loss(problem, z)

    update, optimiser = optimiser_step(solver, search[:3], search.optimiser, value_fn)
    z = search.z + search.share * update
    found = _line_search_end(optimiser)
    value, grad = jax.value_and_grad(value_fn)(z) if found is None else found
    fine = jnp.isfinite(value) & jnp.all(jnp.isfinite(z)) & jnp.all(jnp.isfinite(grad))
    floor = jnp.maximum(tolerance, jnp.finfo(z.dtype).eps) * jnp.abs(search.loss)
    still = (jnp.abs(jnp.sum(update * search.grad)) <= floor) & (
        jnp.abs(value - search.loss) <= floor
    )
    rejected = jnp.where(fine, 0, search.rejected + 1)
    # A line search that has failed would fail the same way again.
    stuck = rejected >= (MAX_REFUSED if found is None else 1)
    status = jnp.where(fine & still, CONVERGED, jnp.where(stuck, STUCK, SEARCHING))
    kept = select(fine, (z, value, grad, optimiser), search[:4])
    return State(
        *kept,
        update_step_fraction(search.share, fine),
        rejected,
        search.steps + 1,
        search.non_finite + (~fine).astype(search.non_finite.dtype),
        status.astype(search.status.dtype),
    )


def optimiser_step(solver, at, optimiser, value_fn):
    """The optimiser's step from (z, loss, grad), and its next state."""
    z, value, grad = at
    # optax counts on the usual promotion of types, whatever the caller has set.
    with jax.numpy_dtype_promotion("standard"):
        update = optax.with_extra_args_support(solver).update
        return update(grad, optimiser, z, value=value, grad=grad, value_fn=value_fn)


def select(fine, new, old):
    """The new where it is fine, else the old."""
    return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, old)


def update_step_fraction(share, fine):
    """The share of the next step: halved where this one was refused, else doubled up to 1."""
    return jnp.where(fine, jnp.minimum(1, 2 * share), share / 2)


def _line_search_end(optimiser):
    """Loss and slope where a line search has ended, or None of an optimiser without one."""
    value = optax.tree_utils.tree_get(optimiser, "value", None)
    grad = optax.tree_utils.tree_get(optimiser, "grad", None)
    return None if value is None or grad is None else (value, grad)
