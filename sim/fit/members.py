"""Searches side by side in one compiled program: what `fit` does with one, for all members."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit import least_squares as lm
from sim.fit.continued import Mark
from sim.fit.fit import chosen
from sim.fit.found import Best, counted
from sim.fit.losses import loss
from sim.fit.problem import Problem


class Members(NamedTuple):
    """The state of all searches, each leaf (M, …): the search itself, the best place yet, and
    whether it began finite; and the mark of the problem they are of."""

    search: Any
    best: Best
    finite: Any
    mark: Mark | None = None


def own(problems):
    """What of the problem is each member's own: its start, and the units that come from it."""
    return jax.tree.map(lambda *x: jnp.stack(x), *((p.start, p.unit) for p in problems))


def _of(problem: Problem, own) -> Problem:
    return replace(problem, start=own[0], unit=own[1])


def _value(method, problem, watched, own, inner):
    """What decides which place is best, as in `fit`."""
    if watched is None:
        return chosen(*method).loss(inner)
    parameters = inner.z[: sum(problem.declared.sizes)]
    return loss(_of(watched, own), parameters)


@partial(jax.jit, static_argnums=0)
def begun(method, problem, watched, own, zs):
    def one(own, z):
        inner = chosen(*method).begin(_of(problem, own), z)
        value = _value(method, problem, watched, own, inner)
        finite = jnp.isfinite(chosen(*method).loss(inner))
        best = jnp.where(jnp.isfinite(value) & finite, value, jnp.inf)
        return Members(inner, Best(z, best, jnp.zeros((), jnp.result_type(int))), finite), value

    return jax.vmap(one)(own, zs)


@partial(jax.jit, static_argnums=0)
def advanced(method, problem, watched, own, members, going, tolerance):
    """Those that are going one evaluation further, the others as they are."""

    def one(own, member, going):
        inner = chosen(*method).advance(_of(problem, own), member.search, tolerance)
        inner = jax.tree.map(lambda a, b: jnp.where(going, a, b), inner, member.search)
        value = _value(method, problem, watched, own, inner)
        old, better = member.best, going & (value < member.best.loss)
        best = Best(
            jnp.where(better, inner.z, old.z),
            jnp.where(better, value, old.loss),
            jnp.where(better, 0, old.waited + going.astype(old.waited.dtype)),
        )
        return Members(inner, best, member.finite), value

    return jax.vmap(one)(own, members, going)


@partial(jax.jit, static_argnums=0)
def watched(method, problem, watched, own, inner):
    return jax.vmap(lambda own, inner: _value(method, problem, watched, own, inner))(own, inner)


@partial(jax.jit, static_argnums=0)
def losses(method, inner):
    return jax.vmap(chosen(*method).loss)(inner)


@jax.jit
def found(problem, own, zs):
    """The parameters and the initial states, (M, …)."""

    def one(own, z):
        params, states = _of(problem, own).apart(z)
        return params, problem.ordered(states)

    return jax.vmap(one)(own, zs)


def going(members, steps, patience):
    inner, best = jax.tree.map(np.asarray, (members.search, members.best))
    searching = (inner.steps < steps) & (inner.status == lm.SEARCHING)
    return searching & (best.waited < patience) & np.asarray(members.finite)


def words(members, steps, patience):
    finite = np.asarray(members.finite)
    status, waited = np.asarray(members.search.status), np.asarray(members.best.waited)
    stopped = finite & (waited >= patience)
    rest = finite & ~stopped
    # Windows are refused for one reason alone.
    stuck = (
        "stuck where the loss turned non-finite" if hasattr(members.search, "where") else "stuck"
    )
    found = {
        "stopped early": stopped,
        "converged": rest & (status == lm.CONVERGED),
        stuck: rest & (status == lm.STUCK),
        f"stopped after {counted(members.search, steps)}": rest & (status == lm.SEARCHING),
        "diverged at the start": ~finite,
    }
    return f"{len(finite)} members: " + ", ".join(
        f"{int(which.sum())} {words}" for words, which in found.items() if which.any()
    )
