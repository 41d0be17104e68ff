"""Searches side by side in one compiled program: what `fit` does with one, for all members."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.fingerprint import Fingerprint
from sim.fit.problem.problem import Problem
from sim.fit.result import Best
from sim.fit.search.conclude import steps_phrase
from sim.fit.search.loop import monitored_loss, update_best
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK


class BatchState(NamedTuple):
    """The state of M searches, each leaf (M, …).

    Attributes:
        search: of the solver.
        best: the best places so far.
        finite: which searches began with a finite loss.
        fingerprint: of their problem.
    """

    search: Any
    best: Best
    finite: Any
    fingerprint: Fingerprint | None = None


class MemberFields(NamedTuple):
    """The fields of a problem in which members differ, (M, …)."""

    start: Any
    unit: Any


def stack_fields(problems) -> MemberFields:
    """The fields in which the problems of all members differ."""
    return jax.tree.map(lambda *x: jnp.stack(x), *(MemberFields(p.start, p.unit) for p in problems))


def _member_problem(problem: Problem | None, fields: MemberFields) -> Problem | None:
    return None if problem is None else replace(problem, start=fields.start, unit=fields.unit)


def _monitored_loss(solver, problem, validation, fields, state):
    return monitored_loss(solver, state, problem, _member_problem(validation, fields))


@partial(jax.jit, static_argnums=0)
def init_members(solver, problem, validation, fields, zs) -> tuple[BatchState, Any]:
    """Searches that begin at zs (M, n), and their monitored losses."""

    def init_one(fields, z):
        state = solver.init(_member_problem(problem, fields), z)
        value = _monitored_loss(solver, problem, validation, fields, state)
        finite = jnp.isfinite(solver.loss(state))
        best = jnp.where(jnp.isfinite(value) & finite, value, jnp.inf)
        return BatchState(state, Best(z, best, jnp.zeros((), jnp.result_type(int))), finite), value

    return jax.vmap(init_one)(fields, zs)


@partial(jax.jit, static_argnums=0)
def step_members(solver, problem, validation, fields, members, running, tolerance):
    """Those that are running one evaluation further, the others as they are."""

    def step_one(fields, member, running):
        new = solver.step(_member_problem(problem, fields), member.search, tolerance)
        state = jax.tree.map(lambda a, b: jnp.where(running, a, b), new, member.search)
        value = _monitored_loss(solver, problem, validation, fields, state)
        best = update_best(member.best, state.z, value, running)
        return BatchState(state, best, member.finite), value

    return jax.vmap(step_one)(fields, members, running)


@partial(jax.jit, static_argnums=0)
def monitored_losses(solver, problem, validation, fields, states):
    """The monitored losses (M,)."""
    return jax.vmap(partial(_monitored_loss, solver, problem, validation))(fields, states)


@partial(jax.jit, static_argnums=0)
def member_losses(solver, states):
    """The losses (M,)."""
    return jax.vmap(solver.loss)(states)


@jax.jit
def member_parameters(problem, fields, zs):
    """The parameters and the initial states, (M, …)."""

    def unpack_one(fields, z):
        params, states = _member_problem(problem, fields).unpack(z)
        return params, problem.in_user_order(states)

    return jax.vmap(unpack_one)(fields, zs)


def describe(members: BatchState, steps: int, patience: float) -> str:
    """How many members ended in which way."""
    finite = np.asarray(members.finite)
    status, since = np.asarray(members.search.status), np.asarray(members.best.steps_since)
    stopped = finite & (since >= patience)
    rest = finite & ~stopped
    # A window is rejected only if it is not finite.
    windows = members.search.location is not None
    stuck = "stuck where the loss turned non-finite" if windows else "stuck"
    ways = {
        "stopped early": stopped,
        "converged": rest & (status == CONVERGED),
        stuck: rest & (status == STUCK),
        f"stopped after {steps_phrase(members.search, steps)}": rest & (status == SEARCHING),
        "diverged at the start": ~finite,
    }
    return f"{len(finite)} members: " + ", ".join(
        f"{int(which.sum())} {words}" for words, which in ways.items() if which.any()
    )
