"""Searches side by side in one compiled program: what `fit` does with one, for all members."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.fingerprint import Fingerprint
from sim.fit.problem.losses import loss
from sim.fit.problem.problem import Problem
from sim.fit.result import Best
from sim.fit.search.conclude import steps_phrase
from sim.fit.solvers.choose import choose_solver
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK


class BatchState(NamedTuple):
    """The state of all searches, each leaf (M, …): the search itself, the best place yet, and
    whether it began finite; and the fingerprint of their problem."""

    search: Any
    best: Best
    finite: Any
    fingerprint: Fingerprint | None = None


def per_member(problems):
    """What of the problem is each member's own: its start, and the units that come from it."""
    return jax.tree.map(lambda *x: jnp.stack(x), *((p.start, p.unit) for p in problems))


def _member_problem(problem: Problem, own) -> Problem:
    return replace(problem, start=own[0], unit=own[1])


def _monitored_loss(method, problem, watched, own, inner):
    """What decides which place is best, as in `fit`."""
    if watched is None:
        return choose_solver(*method).loss(inner)
    parameters = inner.z[: problem.parameter_count]
    return loss(_member_problem(watched, own), parameters)


@partial(jax.jit, static_argnums=0)
def init_members(method, problem, watched, own, zs):
    def one(own, z):
        inner = choose_solver(*method).begin(_member_problem(problem, own), z)
        value = _monitored_loss(method, problem, watched, own, inner)
        finite = jnp.isfinite(choose_solver(*method).loss(inner))
        best = jnp.where(jnp.isfinite(value) & finite, value, jnp.inf)
        return BatchState(inner, Best(z, best, jnp.zeros((), jnp.result_type(int))), finite), value

    return jax.vmap(one)(own, zs)


@partial(jax.jit, static_argnums=0)
def step_members(method, problem, watched, own, members, going, tolerance):
    """Those that are going one evaluation further, the others as they are."""

    def one(own, member, going):
        inner = choose_solver(*method).advance(
            _member_problem(problem, own), member.search, tolerance
        )
        inner = jax.tree.map(lambda a, b: jnp.where(going, a, b), inner, member.search)
        value = _monitored_loss(method, problem, watched, own, inner)
        old, better = member.best, going & (value < member.best.loss)
        best = Best(
            jnp.where(better, inner.z, old.z),
            jnp.where(better, value, old.loss),
            jnp.where(better, 0, old.steps_since + going.astype(old.steps_since.dtype)),
        )
        return BatchState(inner, best, member.finite), value

    return jax.vmap(one)(own, members, going)


@partial(jax.jit, static_argnums=0)
def monitored_losses(method, problem, watched, own, inner):
    return jax.vmap(lambda own, inner: _monitored_loss(method, problem, watched, own, inner))(
        own, inner
    )


@partial(jax.jit, static_argnums=0)
def member_losses(method, inner):
    return jax.vmap(choose_solver(*method).loss)(inner)


@jax.jit
def member_parameters(problem, own, zs):
    """The parameters and the initial states, (M, …)."""

    def one(own, z):
        params, states = _member_problem(problem, own).unpack(z)
        return params, problem.in_user_order(states)

    return jax.vmap(one)(own, zs)


def are_running(members, steps, patience):
    inner, best = jax.tree.map(np.asarray, (members.search, members.best))
    searching = (inner.steps < steps) & (inner.status == SEARCHING)
    return searching & (best.steps_since < patience) & np.asarray(members.finite)


def describe(members, steps, patience):
    finite = np.asarray(members.finite)
    status, waited = np.asarray(members.search.status), np.asarray(members.best.steps_since)
    stopped = finite & (waited >= patience)
    rest = finite & ~stopped
    # Windows are refused for one reason alone.
    stuck = "stuck" if members.search.location is None else "stuck where the loss turned non-finite"
    found = {
        "stopped early": stopped,
        "converged": rest & (status == CONVERGED),
        stuck: rest & (status == STUCK),
        f"stopped after {steps_phrase(members.search, steps)}": rest & (status == SEARCHING),
        "diverged at the start": ~finite,
    }
    return f"{len(finite)} members: " + ", ".join(
        f"{int(which.sum())} {words}" for words, which in found.items() if which.any()
    )
