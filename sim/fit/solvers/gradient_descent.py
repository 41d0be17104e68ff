"""Gradient descent by any transformation of optax, one evaluation at a time.

The state of a search is one pytree of arrays: a saved search goes on bit for bit.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from sim.fit.problem.losses import loss
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK

MAX_REJECTED = 30  # rejected steps in a row before a search is stuck


class State(NamedTuple):
    """The state of a search, see `SolverState`.

    Attributes:
        z: (n,), where it stands.
        loss, grad: the loss and its slope there.
        optimiser: optax's own state.
        share: the share of the optimiser's step that is tried; halved by every rejection, and
            doubled up to 1 by every step that is accepted.
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


@dataclass(frozen=True)
class GradientDescent:
    """z ← z + share · update(∂L/∂z), for `fit(…, solver=optimiser)`.

    Args:
        optimiser: a transformation of optax.
    """

    optimiser: optax.GradientTransformation

    def init(self, problem, z) -> State:
        """The state of a search that begins at z."""
        value, grad = _value_and_grad(problem, z)
        zero = jnp.zeros((), jnp.result_type(int))
        # Some numbers of optax have weak types, for which the first step would compile alone.
        optimiser = jax.tree.map(lambda x: jnp.asarray(x, x.dtype), self.optimiser.init(z))
        return State(z, value, grad, optimiser, jnp.ones_like(value), zero, zero, zero, zero)

    def step(self, problem, state: State, tolerance: float) -> State:
        """The search one step of the optimiser further.

        A place where the loss or its slope is not finite is rejected. The search has
        converged if the slope predicts, and the step brings, a change of the loss of less than
        ``tolerance`` of it.
        """
        return _step(self.optimiser, problem, state, tolerance)

    def loss(self, state: State):
        """The loss where the search stands."""
        return state.loss


@cache
def lbfgs():
    """One L-BFGS for all searches, so that they share what is compiled."""
    return optax.lbfgs()


_value_and_grad = jax.jit(jax.value_and_grad(loss, 1))


@partial(jax.jit, static_argnums=0)
def _step(solver, problem, state: State, tolerance) -> State:
    def value_fn(z):
        return loss(problem, z)

    update, optimiser = optimiser_step(solver, state[:3], state.optimiser, value_fn)
    z = state.z + state.share * update
    line_search = _line_search_end(optimiser)
    value, grad = jax.value_and_grad(value_fn)(z) if line_search is None else line_search
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(z)) & jnp.all(jnp.isfinite(grad))
    floor = jnp.maximum(tolerance, jnp.finfo(z.dtype).eps) * jnp.abs(state.loss)
    small = (jnp.abs(jnp.sum(update * state.grad)) <= floor) & (
        jnp.abs(value - state.loss) <= floor
    )
    rejected = jnp.where(finite, 0, state.rejected + 1)
    # A line search that has failed would fail the same way again.
    stuck = rejected >= (MAX_REJECTED if line_search is None else 1)
    status = jnp.where(finite & small, CONVERGED, jnp.where(stuck, STUCK, SEARCHING))
    return State(
        *select(finite, (z, value, grad, optimiser), state[:4]),
        update_step_fraction(state.share, finite),
        rejected,
        state.steps + 1,
        state.non_finite + (~finite).astype(state.non_finite.dtype),
        status.astype(state.status.dtype),
    )


def optimiser_step(solver, place, optimiser, value_fn):
    """The optimiser's step from a place (z, loss, grad), and its next state."""
    z, value, grad = place
    # optax relies on the usual promotion of types, whatever the caller has set.
    with jax.numpy_dtype_promotion("standard"):
        update = optax.with_extra_args_support(solver).update
        return update(grad, optimiser, z, value=value, grad=grad, value_fn=value_fn)


def select(finite, new, old):
    """The new pytree if it is finite, else the old one."""
    return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)


def update_step_fraction(share, finite):
    """The share of the next step: halved if this one was rejected, else doubled up to 1."""
    return jnp.where(finite, jnp.minimum(1, 2 * share), share / 2)


def _line_search_end(optimiser):
    """Loss and slope where a line search ended, or None if the optimiser has none."""
    value = optax.tree_utils.tree_get(optimiser, "value", None)
    grad = optax.tree_utils.tree_get(optimiser, "grad", None)
    return None if value is None or grad is None else (value, grad)
