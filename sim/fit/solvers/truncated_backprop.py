"""Truncated back-propagation through time, with the state carried on.

Records are cut into windows. After each window the parameters move, and the state goes on
from where it was, but no gradient goes back through the cut. A pass over all windows is
itself a rollout: its carry is the state of training.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim import rollout
from sim.fit.problem.losses import loss, prior_loss, weighted_residuals
from sim.fit.problem.objectives import residual_or_zero
from sim.fit.solvers.batches import Window, shuffle_windows, split_windows
from sim.fit.solvers.gradient_descent import (
    MAX_REFUSED,
    optimiser_step,
    select,
    update_step_fraction,
)
from sim.fit.solvers.status import SEARCHING, STUCK
from sim.records.experiment import Experiment


class State(NamedTuple):
    """The state of training, between passes over the records.

    Attributes:
        z: (n,), where it stands.
        loss: of the whole records there.
        optimiser: optax's own state.
        share: of the optimiser's step that is taken, as in `sim.fit.solvers.gradient_descent`.
        rejected: windows, or passes, in a row that were not finite.
        steps: passes.
        non_finite: windows, and passes, that were not finite.
        status: `SEARCHING` or `STUCK`.
        location: (2,), pass and window of the last that was not finite, from 1 on; window 0 is
            a pass as a whole.
        seed: of the order of the experiments.
        linearisation, grad: None, see `SolverState`.
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
    """The carry of a pass: z, optimiser, share, what of the model goes on, windows refused in
    a row and at all, and the last of them."""

    z: Any
    optimiser: Any
    share: Any
    carry: Any
    rejected: Any
    non_finite: Any
    last: Any


def init(solver, seed, problem, z) -> State:
    """The state of training that begins at z."""
    whole = jnp.zeros((), jnp.result_type(int))
    value, one = loss(problem, z), jnp.ones((), z.dtype)
    return State(
        z,
        value,
        solver.init(z),
        one,
        whole,
        whole,
        whole,
        whole,
        jnp.zeros(2, whole.dtype),
        jnp.asarray(seed, whole.dtype),
    )


@partial(jax.jit, static_argnums=(0, 1, 2))
def step(solver, window, batch, problem, search: State, tolerance) -> State:
    """The search one pass over the records further.

    A window whose loss or slope is not finite moves nothing. A pass that ends where the
    records as a whole are not finite is taken back. Both halve the steps to come.
    """
    windows, y0 = split_windows(problem, window)
    if batch is not None:
        key = jax.random.fold_in(jax.random.key(search.seed), search.steps)
        windows = shuffle_windows(windows, batch, key)
    step = Partial(
        partial(_window_step, solver),
        problem,
        y0,
        1 / jnp.sum(_has_samples(windows)).astype(search.z.dtype),
    )
    carry = _initial_carry(problem, search.z, windows.rows[0])
    none = jnp.zeros_like(search.non_finite)
    training = PassCarry(
        search.z, search.optimiser, search.share, carry, search.rejected, none, none
    )
    training, _ = rollout(step, training, windows)
    value = loss(problem, training.z)
    fine = jnp.isfinite(value)
    z, optimiser, value, share, rejected = select(
        fine,
        (training.z, training.optimiser, value, training.share, training.rejected),
        (search.z, search.optimiser, search.loss, search.share / 2, search.rejected + 1),
    )
    status = jnp.where(rejected >= MAX_REFUSED, STUCK, SEARCHING).astype(search.status.dtype)
    non_finite = search.non_finite + training.non_finite + (~fine).astype(search.non_finite.dtype)
    here = jnp.stack([search.steps + 1, jnp.where(fine, training.last, 0)])
    location = jnp.where(non_finite > search.non_finite, here, search.location)
    steps = search.steps + 1
    return State(
        z, value, optimiser, share, rejected, steps, non_finite, status, location, search.seed
    )


def _window_step(solver, problem, y0, part, training: PassCarry, window: Window):
    """One window: its loss at the parameters of now, and one step of the optimiser."""

    def value_fn(z):
        carry, value = _window_loss(problem, y0, part, z, training.carry, window)
        return value, carry

    (value, carry), grad = jax.value_and_grad(value_fn, has_aux=True)(training.z)
    fine = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad))
    at = training.z, value, grad
    update, optimiser = optimiser_step(solver, at, training.optimiser, lambda z: value_fn(z)[0])
    new = training.z + training.share * update, optimiser
    fine = fine & jnp.all(jnp.isfinite(new[0]))
    carry = select(fine, carry, training.carry)
    # Shorter records end before the longest: a step by nothing would still be one to Adam.
    z, optimiser = select(fine & _has_samples(window), new, (training.z, training.optimiser))
    rejected = jnp.where(fine, 0, training.rejected + 1)
    non_finite = training.non_finite + (~fine).astype(training.non_finite.dtype)
    last = jnp.where(fine, training.last, window.number)
    return PassCarry(
        z, optimiser, update_step_fraction(training.share, fine), carry, rejected, non_finite, last
    ), value


def _has_samples(window: Window):
    """Whether there is anything to learn from a window, (…)."""
    return window.first | jnp.any(jnp.isfinite(window.e.y), axis=(-3, -2, -1))


def _window_loss(problem, y0, part, z, carry, window: Window):
    """Where the model stands after a window, and the mean of what it adds to the loss."""
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
            before = jax.vmap(objective.first, (None, 0, 0))(p, x0, e)
            first = jnp.where(window.real[:, :1], y0[window.rows], jnp.nan)
            squares = jnp.sum(weighted_residuals(problem, residual_or_zero(first, before)) ** 2)
            value += 0.5 * jnp.where(window.first, squares, 0)
    return carry, (value + part * prior_loss(problem, z)) / size


def _parameters_and_states(problem, z, rows):
    """The parameters, and the initial states of some experiments, side by side."""
    theta, states = problem.split_vector(z)
    found = [
        jax.vmap(problem.states.unpack)(s, given)
        for s, given in zip(states, problem.initial_states, strict=True)
    ]
    side = jax.tree.map(lambda *x: jnp.concatenate(x)[rows], *found)
    return problem.parameters(theta), side


def _initial_carry(problem, z, rows):
    p, x0 = _parameters_and_states(problem, z, rows)
    return jax.vmap(partial(problem.objective.begin, p), axis_size=len(rows))(x0)
