"""A fit as a function of one vector: parameters first, then the states of each experiment.

Experiments of one length lie side by side and share a compiled run. The Jacobian of each
is a forward-mode pass over its own parameters and states alone, and it leaves the pass as
a triangle: memory and time of the rest do not grow with the number of samples.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass

from sim.fit.experiment import Experiment
from sim.fit.least_squares import Evaluated, reduced
from sim.fit.parameters import Declared, prior_residuals, values


class States(NamedTuple):
    """How numbers make the initial state of an experiment; static."""

    tree: Any
    shapes: tuple[tuple[int, ...], ...]
    free: bool

    @property
    def size(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes) if self.free else 0

    def state(self, z, given):
        """The initial state, from z where it is free and as given where it is not."""
        if not self.free:
            return given
        leaves, at = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            leaves.append(z[at : at + size].reshape(shape))
            at += size
        return jax.tree.unflatten(self.tree, leaves)


@register_dataclass
@dataclass(frozen=True)
class Problem:
    """What a search evaluates.

    Attributes:
        groups: experiments of one length each, stacked along a first axis.
        given: their initial states, stacked the same way.
        start: the parameters at the start, for those that are fixed.
        weights: (outputs,), of an error in the unit of y.
        join: weight of the continuity between one experiment and the next, or None.
        joined: for each group, whether an experiment goes on with the next one (E,).
        objective, declared, states: static.
        order: for each place in the groups, which of the user's experiments it is; static.
    """

    groups: tuple[Experiment, ...]
    given: tuple[Any, ...]
    start: Any
    weights: Any
    join: Any
    joined: tuple[Any, ...]
    objective: Any = field(metadata={"static": True})
    declared: Declared = field(metadata={"static": True})
    states: States = field(metadata={"static": True})
    order: tuple[int, ...] = field(metadata={"static": True})

    def parts(self, z):
        """z as the parameters' numbers (n,), and those of the states, (E, m) for each group."""
        n, m, found = sum(self.declared.sizes), self.states.size, []
        at = n
        for group in self.groups:
            count = len(group.y)
            found.append(z[at : at + count * m].reshape(count, m))
            at += count * m
        return z[:n], found

    def parameters(self, z):
        return values(self.declared, z, self.start)

    def each(self, z):
        """Parameters, and for each experiment as the user gave them: state and record."""
        theta, states = self.parts(z)
        found = [None] * len(self.order)
        at = iter(self.order)
        for group, given, s in zip(self.groups, self.given, states, strict=True):
            for i in range(len(group.y)):
                e, own = jax.tree.map(lambda leaf, i=i: leaf[i], (group, given))
                found[next(at)] = (self.states.state(s[i], own), e)
        return self.parameters(theta), found

    def weighted(self, weights=None, join=None):
        return replace(self, weights=self.weights if weights is None else weights,
                       join=self.join if join is None else join)  # fmt: skip


def _errors(problem: Problem, theta, s, e, given):
    """Weighted errors of one experiment, flat, and the numbers of its final state."""
    p, x0 = problem.parameters(theta), problem.states.state(s, given)
    errors, end = problem.objective.errors(p, x0, e)
    flat = (errors * problem.weights[None]).ravel()
    if problem.join is None:
        return flat, s[:0]
    return flat, jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(end)])


def _with_slopes(f, theta, s):
    """f and ∂f/∂(θ, s), (…, n + m), in one forward pass for all directions."""
    both, n = jnp.concatenate([theta, s]), len(theta)

    def pushed(direction):
        return jax.jvp(lambda v: f(v[:n], v[n:]), (both,), (direction,))

    return jax.vmap(pushed, out_axes=(None, -1))(jnp.eye(len(both), dtype=both.dtype))


@jax.jit
def evaluated(problem: Problem, z) -> Evaluated:
    """Loss and triangle of all residuals at z."""
    theta, states = problem.parts(z)
    n, m, total = len(theta), problem.states.size, len(z)
    loss, blocks, at = jnp.zeros((), z.dtype), [], n
    for group, given, joined, s in zip(
        problem.groups, problem.given, problem.joined, states, strict=True
    ):
        def one(s, e, given):
            return _with_slopes(lambda theta, s: _errors(problem, theta, s, e, given), theta, s)

        (r, end), (J, J_end) = jax.vmap(one)(s, group, given)
        found = jax.vmap(reduced)(r, J)
        loss += jnp.sum(found.loss)
        for i in range(len(r)):
            own = at + i * m
            blocks.append(_placed(found.R[i], found.q[i], n, own, m, total))
            if problem.join is not None and i + 1 < len(r):
                weight = problem.join * joined[i]
                gap = weight * (end[i] - s[i + 1])
                loss += 0.5 * jnp.sum(gap * gap)
                rows = _placed(weight[:, None] * J_end[i], gap, n, own, m, total)
                columns = slice(own + m, own + 2 * m)
                rows = rows.at[:, columns].add(-jnp.diag(weight))
                blocks.append(rows)
        at += len(r) * m
    prior = prior_residuals(problem.declared, problem.parameters(theta))
    if prior is not None:
        def rows(theta, s):
            return prior_residuals(problem.declared, problem.parameters(theta))

        r, J = _with_slopes(rows, theta, theta[:0])
        loss += 0.5 * jnp.sum(r * r)
        blocks.append(_placed(J, r, n, n, 0, total))
    everything = jnp.concatenate(blocks)
    small = reduced(everything[:, -1], everything[:, :-1])
    return Evaluated(loss, small.R, small.q)


def _placed(J, r, n, own, m, total):
    """Rows (k, total + 1) with the columns of the parameters, of one experiment's states, and r."""
    rows = jnp.zeros((len(r), total + 1), J.dtype)
    rows = rows.at[:, :n].set(J[:, :n]).at[:, -1].set(r)
    return rows.at[:, own : own + m].set(J[:, n:]) if m else rows


@jax.jit
def residuals(problem: Problem, z):
    """y − ŷ of each experiment, (N, outputs) or with a row for y0, in the units of y; 0 where
    missing."""
    p, each = problem.each(z)
    return [problem.objective.errors(p, x0, e)[0] for x0, e in each]
