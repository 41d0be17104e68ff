"""Truncated back-propagation through time, with the state carried on.

Records are cut into windows. After each window the parameters move, and the model's state
goes on, but no gradient goes back through the cut. A pass over all windows is itself a
rollout: its carry is the state of training.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import Partial

from sim import rollout
from sim.fit.problem.losses import loss, prior_loss, weighted_residuals
from sim.fit.problem.objectives import residual_or_zero
from sim.fit.solvers.batches import Window, shuffle_windows, split_windows
from sim.fit.solvers.gradient_descent import (
    MAX_REJECTED,
    optimiser_step,
    select,
    update_step_fraction,
)
from sim.fit.solvers.status import SEARCHING, STUCK
from sim.records.experiment import Experiment, check_same_structure


class State(NamedTuple):
    """The state of training between passes over the records, see `SolverState`.

    Attributes:
        z: (n,), where it stands.
        loss: of the whole records there.
        optimiser: optax's own state.
        share: the share of the optimiser's step that is taken, as of gradient descent.
        rejected, non_finite: windows, and passes as a whole.
        seed: of the order of the experiments.
    """

    z: jax.Array
    loss: jax.Array
    optimiser: Any
    share: jax.Array
    rejected: jax.Array
    steps: jax.Array
    non_finite: jax.Array
    status: jax.Array
    location: jax.Array
    seed: jax.Array
    linearisation: None = None
    grad: None = None


class PassCarry(NamedTuple):
    """The carry of a pass.

    Attributes:
        z, optimiser, share, rejected: as of `State`.
        carry: of the model.
        non_finite: windows of this pass that were not finite.
        last: the number of the last of them, or 0.
    """

    z: Any
    optimiser: Any
    share: Any
    carry: Any
    rejected: Any
    non_finite: Any
    last: Any


@dataclass(frozen=True)
class TruncatedBackprop:
    """The solver of `fit` for `Truncated`: one step is a pass over the records.

    Args:
        optimiser: a transformation of optax.
        window, batch, seed: as of `Truncated`.

    Reference: as `Truncated`.
    """

    optimiser: optax.GradientTransformation
    window: int
    batch: int | None
    seed: int

    def init(self, problem, z) -> State:
        """The state of training that begins at z.

        Raises:
            ValueError: the records cannot lie side by side.
        """
        shapes = jax.tree.map(lambda leaf: np.broadcast_to(0, leaf.shape), problem.groups)
        check_same_structure(problem.in_user_order(shapes))
        zero = jnp.zeros((), jnp.result_type(int))
        value, one = loss(problem, z), jnp.ones((), z.dtype)
        location, seed = jnp.zeros(2, zero.dtype), jnp.asarray(self.seed, zero.dtype)
        optimiser = self.optimiser.init(z)
        return State(z, value, optimiser, one, zero, zero, zero, zero, location, seed)

    def step(self, problem, state: State, tolerance: float) -> State:
        """The search one pass over the records further.

        A window whose loss or slope is not finite moves nothing. A pass after which the loss
        of the whole records is not finite is undone. Both halve the steps to come.
        """
        return _pass(self.optimiser, self.window, self.batch, problem, state)

    def loss(self, state: State):
        """The loss of the whole records where training stands."""
        return state.loss


@partial(jax.jit, static_argnums=(0, 1, 2))
def _pass(solver, window, batch, problem, state: State) -> State:
    windows, y0 = split_windows(problem, window)
    if batch is not None:
        key = jax.random.fold_in(jax.random.key(state.seed), state.steps)
        windows = shuffle_windows(windows, batch, key)
    prior_weight = 1 / jnp.sum(_has_samples(windows)).astype(state.z.dtype)
    step = Partial(partial(_window_step, solver), problem, y0, prior_weight)
    carry = _initial_carry(problem, state.z, windows.rows[0])
    zero = jnp.zeros_like(state.non_finite)
    training = PassCarry(state.z, state.optimiser, state.share, carry, state.rejected, zero, zero)
    training, _ = rollout(step, training, windows)
    value = loss(problem, training.z)
    finite = jnp.isfinite(value)
    z, optimiser, value, share, rejected = select(
        finite,
        (training.z, training.optimiser, value, training.share, training.rejected),
        (state.z, state.optimiser, state.loss, state.share / 2, state.rejected + 1),
    )
    status = jnp.where(rejected >= MAX_REJECTED, STUCK, SEARCHING).astype(state.status.dtype)
    non_finite = state.non_finite + training.non_finite + (~finite).astype(state.non_finite.dtype)
    here = jnp.stack([state.steps + 1, jnp.where(finite, training.last, 0)])
    location = jnp.where(non_finite > state.non_finite, here, state.location)
    steps = state.steps + 1
    return State(
        z, value, optimiser, share, rejected, steps, non_finite, status, location, state.seed
    )


def _window_step(solver, problem, y0, prior_weight, training: PassCarry, window: Window):
    """One window: its loss at the parameters so far, and one step of the optimiser."""

    def value_fn(z):
        carry, value = _window_loss(problem, y0, prior_weight, z, training.carry, window)
        return value, carry

    (value, carry), grad = jax.value_and_grad(value_fn, has_aux=True)(training.z)
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad))
    place = training.z, value, grad
    update, optimiser = optimiser_step(solver, place, training.optimiser, lambda z: value_fn(z)[0])
    new = training.z + training.share * update, optimiser
    finite = finite & jnp.all(jnp.isfinite(new[0]))
    carry = select(finite, carry, training.carry)
    # Shorter records end before the longest: a step by nothing would still be one to Adam.
    z, optimiser = select(finite & _has_samples(window), new, (training.z, training.optimiser))
    rejected = jnp.where(finite, 0, training.rejected + 1)
    non_finite = training.non_finite + (~finite).astype(training.non_finite.dtype)
    last = jnp.where(finite, training.last, window.number)
    share = update_step_fraction(training.share, finite)
    return PassCarry(z, optimiser, share, carry, rejected, non_finite, last), value


def _has_samples(window: Window):
    """Whether anything can be learned from a window, (…)."""
    return window.first | jnp.any(jnp.isfinite(window.e.y), axis=(-3, -2, -1))


def _window_loss(problem, y0, prior_weight, z, carry, window: Window):
    """The model's carry after a window, and the mean of what the window adds to the loss."""
    objective, size = problem.objective, window.e.y.size
    p, x0 = _parameters_and_states(problem, z, window.rows)
    begin = _initial_carry(problem, z, window.rows)
    carry = jax.tree.map(
        lambda a, b: jnp.where(window.first, a, jax.lax.stop_gradient(b)), begin, carry
    )
    carry, ys = jax.vmap(objective.follow, (None, 0, 0))(p, carry, window.e)
    if objective.is_likelihood:
        value = -jnp.sum(jnp.where(window.real, ys.loglik, 0))
    else:
        value = 0.5 * jnp.sum(weighted_residuals(problem, residual_or_zero(window.e.y, ys)) ** 2)
        if y0 is not None:
            e = Experiment(jax.tree.map(lambda x: x[:, :1], window.e.xs), None, None)
            simulated = jax.vmap(objective.first, (None, 0, 0))(p, x0, e)
            measured = jnp.where(window.real[:, :1], y0[window.rows], jnp.nan)
            errors = residual_or_zero(measured, simulated)
            squares = jnp.sum(weighted_residuals(problem, errors) ** 2)
            value += 0.5 * jnp.where(window.first, squares, 0)
    return carry, (value + prior_weight * prior_loss(problem, z)) / size


def _parameters_and_states(problem, z, rows):
    """The parameters, and the initial states of the experiments in some rows, side by side."""
    theta, states = problem.split_vector(z)
    groups = [
        jax.vmap(problem.states.unpack)(s, given)
        for s, given in zip(states, problem.initial_states, strict=True)
    ]
    side_by_side = jax.tree.map(lambda *x: jnp.concatenate(x)[rows], *groups)
    return problem.parameters(theta), side_by_side


def _initial_carry(problem, z, rows):
    p, x0 = _parameters_and_states(problem, z, rows)
    return jax.vmap(partial(problem.objective.begin, p), axis_size=len(rows))(x0)
