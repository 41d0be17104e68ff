"""Truncated back-propagation through time, with the state carried on.

Records are cut into windows. After each window the parameters move, and the state goes on
from where it was, but no gradient goes back through the cut. A pass over all windows is
itself a rollout: its carry is the state of training.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import Partial

from sim import check, rollout
from sim.fit.descent import TURNS, moved, shared, taken
from sim.fit.experiment import Experiment
from sim.fit.least_squares import SEARCHING, STUCK
from sim.fit.losses import loss, prior_loss
from sim.fit.objectives import likelihood, missed


@dataclass(frozen=True)
class Truncated:
    """An objective whose gradient goes back through one window of a record at a time.

        θ ← θ − step(∂L_w/∂θ),   s_w = the end of window w − 1, held

    All experiments lie side by side: window w of each of them makes one step of the
    optimiser. Initial states that are free move with the first window alone. A window as
    long as the records is the whole gradient.

    Args:
        objective: `Simulation` or `Prediction`.
        window: samples in a window.

    Reference: R. J. Williams and J. Peng, Neural Computation 2 (1990) 490-501.
    """

    objective: Any
    window: int

    def __post_init__(self):
        check.positive("window", self.window)


class Search(NamedTuple):
    """The state of training, between passes over the records.

    Attributes:
        z: (n,), where it stands.
        loss: of the whole records there.
        optimiser: optax's own state.
        share: of the optimiser's step that is taken, as in `sim.fit.descent`.
        turns: passes in a row that were refused whole.
        steps: passes.
        bad: windows, and passes, that were not finite.
        status: `SEARCHING` or `STUCK`.
    """

    z: jax.Array
    loss: jax.Array
    optimiser: Any
    share: jax.Array
    turns: jax.Array
    steps: jax.Array
    bad: jax.Array
    status: jax.Array


class Window(NamedTuple):
    """One window of E records side by side.

    Attributes:
        e: an `Experiment` of E records, without y0.
        real: (E, window), which samples are of the record and not of its filling.
        first: (), whether the records begin here.
    """

    e: Experiment
    real: Any
    first: Any


class Training(NamedTuple):
    """The carry of a pass: z, optimiser, share, what of the model goes on, refused windows."""

    z: Any
    optimiser: Any
    share: Any
    carry: Any
    bad: Any


@cache
def adam():
    """One Adam for all searches, so that they share what is compiled."""
    return optax.adam(1e-2)


def begun(solver, problem, z) -> Search:
    """The state of training that begins at z."""
    whole = jnp.zeros((), jnp.result_type(int))
    value = loss(problem, z)
    return Search(z, value, solver.init(z), jnp.ones_like(value), whole, whole, whole, whole)


@partial(jax.jit, static_argnums=(0, 1))
def advanced(solver, window, problem, search: Search, tolerance) -> Search:
    """The search one pass over the records further.

    A window whose loss or slope is not finite moves nothing. A pass that ends where the
    records as a whole are not finite is taken back. Both halve the steps to come.
    """
    windows, first = cut(problem, window)
    count = windows.first.shape[0]
    step = Partial(partial(_step, solver), problem, first, 1 / count)
    carry = _begin(problem, search.z)
    training = Training(search.z, search.optimiser, search.share, carry, search.bad)
    training, _ = rollout(step, training, windows)
    value = loss(problem, training.z)
    fine = jnp.isfinite(value)
    z, optimiser, value = taken(
        fine,
        (training.z, training.optimiser, value),
        (search.z, search.optimiser, search.loss),
    )
    turns = jnp.where(fine, 0, search.turns + 1)
    status = jnp.where(turns >= TURNS, STUCK, SEARCHING).astype(search.status.dtype)
    share = jnp.where(fine, training.share, search.share / 2)
    bad = training.bad + (~fine).astype(search.bad.dtype)
    return Search(z, value, optimiser, share, turns, search.steps + 1, bad, status)


def _step(solver, problem, y0, part, training: Training, window: Window):
    """One window: its loss at the parameters of now, and one step of the optimiser."""

    def value_fn(z):
        carry, value = _window_loss(problem, y0, part, z, training.carry, window)
        return value, carry

    (value, carry), grad = jax.value_and_grad(value_fn, has_aux=True)(training.z)
    fine = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad))
    at = training.z, value, grad
    update, optimiser = moved(solver, at, training.optimiser, lambda z: value_fn(z)[0])
    new = training.z + training.share * update, optimiser, carry
    fine = fine & jnp.all(jnp.isfinite(new[0]))
    z, optimiser, carry = taken(fine, new, (training.z, training.optimiser, training.carry))
    bad = training.bad + (~fine).astype(training.bad.dtype)
    return Training(z, optimiser, shared(training.share, fine), carry, bad), value


def _window_loss(problem, y0, part, z, carry, window: Window):
    """Where the model stands after a window, and what the window adds to the loss."""
    objective = problem.objective
    p, x0 = _states(problem, z)
    carry = jax.tree.map(
        lambda a, b: jnp.where(window.first, a, jax.lax.stop_gradient(b)), _begin(problem, z), carry
    )
    carry, ys = jax.vmap(objective.follow, (None, 0, 0))(p, carry, window.e)
    if likelihood(objective):
        value = -jnp.sum(jnp.where(window.real, ys.loglik, 0))
    else:
        value = 0.5 * jnp.sum((missed(window.e.y, ys) * problem.weights[None, None]) ** 2)
        if y0 is not None:
            e = Experiment(jax.tree.map(lambda x: x[:, :1], window.e.xs), None, None)
            before = jax.vmap(objective.first, (None, 0, 0))(p, x0, e)
            squares = jnp.sum((missed(y0, before) * problem.weights[None]) ** 2)
            value += 0.5 * jnp.where(window.first, squares, 0)
    return carry, value + part * prior_loss(problem, z)


def _states(problem, z):
    """The parameters, and the initial states of all experiments, side by side."""
    theta, states = problem.parts(z)
    found = [
        jax.vmap(problem.states.state)(s, given)
        for s, given in zip(states, problem.given, strict=True)
    ]
    return problem.parameters(theta), jax.tree.map(lambda *x: jnp.concatenate(x), *found)


def _begin(problem, z):
    p, x0 = _states(problem, z)
    count = sum(len(group.y) for group in problem.groups)
    begin = partial(problem.objective.begin, p)
    return jax.vmap(begin, axis_size=count)(x0)


def cut(problem, window: int):
    """All records as windows, the shorter filled up with missing samples.

    Returns:
        `Window`s along a first axis, and y0 (E, outputs) or None.
    """
    longest = max(group.y.shape[1] for group in problem.groups)
    window = min(window, longest)
    count = -(-longest // window)

    def filled(x, fill=None):
        more = [(0, 0), (0, count * window - x.shape[1])] + [(0, 0)] * (x.ndim - 2)
        if fill is None:  # the last input goes on, so that the model stays where it was
            return jnp.pad(x, more, mode="edge")
        return jnp.pad(x, more, constant_values=fill)

    def windows(parts):
        x = jnp.concatenate(parts)
        return jnp.moveaxis(x.reshape(x.shape[0], count, window, *x.shape[2:]), 1, 0)

    groups = problem.groups
    xs = jax.tree.map(lambda *x: windows([filled(a) for a in x]), *(g.xs for g in groups))
    y = windows([filled(g.y, jnp.nan) for g in groups])
    real = windows([filled(jnp.ones(g.y.shape[:2], bool), False) for g in groups])
    y0 = None
    if any(g.y0 is not None for g in groups):
        y0 = jnp.concatenate([g.y[:, 0] * jnp.nan if g.y0 is None else g.y0 for g in groups])
    first = jnp.arange(count) == 0
    return Window(Experiment(xs, y), real, first), y0
