"""A fit as a function of one vector: parameters first, then the states of each experiment.

Experiments of one length lie side by side and share a compiled run. The Jacobian of each
is a forward-mode pass over its own parameters and states alone, and it leaves the pass as
a triangle: memory and time of the rest do not grow with the number of samples.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass

from sim.fit.parameters.vector import ParameterLayout, prior_residuals, to_parameters
from sim.fit.problem.errors import DivergenceError
from sim.fit.problem.linearised import Linearisation, qr_reduce
from sim.fit.problem.losses import forward_mode, weighted_residuals
from sim.fit.problem.sensitivities import is_worthwhile, with_sensitivities
from sim.records.experiment import Experiment


class States(NamedTuple):
    """How numbers make the initial state of an experiment; static."""

    declared: ParameterLayout
    free: bool

    @property
    def size(self) -> int:
        return sum(self.declared.sizes) if self.free else 0

    def state(self, z, given):
        """The initial state, from z where it is free and as given where it is not."""
        return to_parameters(self.declared, z, given) if self.free else given

    def priors(self, x0) -> list:
        """Rows of what is known beforehand of the initial state of an experiment."""
        return prior_residuals(self.declared, x0) if self.free else []


@register_dataclass
@dataclass(frozen=True)
class Problem:
    """What a search evaluates.

    Attributes:
        groups: experiments of one length each, stacked along a first axis.
        given: their initial states, stacked the same way.
        start: the parameters at the start, for those that are fixed.
        unit: (len(z),), of each number in z: of the parameters', then of the states'.
        weights: (outputs,), of an error in the unit of y.
        join: (m,), weights of the numbers of a state in the gap between the end of one
            experiment and the start of the next; None where each is for itself.
        joined: for each group, whether the next experiment goes on from the end of one (E,).
        objective, declared, states: static.
        order: for each place in the groups, which of the user's experiments it is; static.
    """

    groups: tuple[Experiment, ...]
    given: tuple[Any, ...]
    start: Any
    unit: Any
    weights: Any
    join: Any
    joined: tuple[Any, ...]
    objective: Any = field(metadata={"static": True})
    declared: ParameterLayout = field(metadata={"static": True})
    states: States = field(metadata={"static": True})
    order: tuple[int, ...] = field(metadata={"static": True})

    def parts(self, z):
        """z as the parameters' numbers (n,), and those of the states in their own units, (E, m)
        for each group."""
        n, m, found = sum(self.declared.sizes), self.states.size, []
        at = n
        for group in self.groups:
            count = len(group.y)
            own = slice(at, at + count * m)
            found.append((self.unit[own] * z[own]).reshape(count, m))
            at += count * m
        return z[:n], found

    def parameters(self, z):
        return to_parameters(self.declared, self.unit[: len(z)] * z, self.start)

    @jax.jit
    def apart(self, z):
        """Parameters, and the initial states of each group, stacked along a first axis."""
        theta, states = self.parts(z)
        pairs = zip(states, self.given, strict=True)
        return self.parameters(theta), [jax.vmap(self.states.state)(*pair) for pair in pairs]

    def each(self, z):
        """Parameters, and for each experiment as the user gave them: state and record."""
        p, states = self.apart(z)
        # Taken apart by NumPy: a program would have as many outputs as there are experiments.
        each = self.ordered([_to_host(pair) for pair in zip(states, self.groups, strict=True)])
        return p, [(jax.tree.map(jnp.asarray, x0), e) for x0, e in each]

    def ordered(self, groups) -> list:
        """What lies stacked along a first axis, group by group, in the user's order."""
        found, at = [None] * len(self.order), iter(self.order)
        for records, group in zip(self.groups, groups, strict=True):
            for i in range(len(records.y)):
                found[next(at)] = jax.tree.map(lambda leaf, i=i: leaf[i], group)
        return found

    @property
    def robust(self):
        """What large errors count for, or None where they count by their squares."""
        return getattr(self.objective, "robust", None)

    @property
    def samples(self) -> int:
        """How many numbers were observed."""
        observed = [(group.y, group.y0) for group in self.groups]
        return sum(int(np.isfinite(np.asarray(y)).sum()) for y in jax.tree.leaves(observed))

    @property
    def known(self) -> int:
        """How many numbers have a prior."""
        states = _count_priors(self.states.declared) * len(self.order) if self.states.free else 0
        return _count_priors(self.declared) + states

    @property
    def unknowns(self) -> int:
        """How many numbers are free, those that continuity settles not among them."""
        starts = sum(len(group.y) for group in self.groups)
        if self.join is not None:
            starts -= sum(int(np.sum(joined)) for joined in self.joined)
        return sum(self.declared.sizes) + self.states.size * starts

    def weighted(self, weights=None, join=None):
        return replace(
            self,
            weights=self.weights if weights is None else weights,
            join=self.join if join is None else join,
        )


def _count_priors(declared):
    pairs = zip(declared.shapes, declared.priors, strict=True)
    return sum(int(np.prod(shape)) for shape, prior in pairs if prior is not None)


def _weighted_errors(problem: Problem, theta, s, e, given):
    """Weighted errors of one experiment and what is known of its state, flat; and the numbers
    of its final state."""
    p, x0 = problem.parameters(theta), problem.states.state(s, given)
    errors, end = problem.objective.errors(p, x0, e)
    flat = jnp.concatenate(
        [weighted_residuals(problem, errors).ravel(), *problem.states.priors(x0)]
    )
    if problem.join is None:
        return flat, s[:0]
    return flat, jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(end)])


def _with_jacobian(f, theta, s):
    """f and ∂f/∂(θ, s), (…, n + m), in one forward pass for all directions."""
    both, n = jnp.concatenate([theta, s]), len(theta)

    def pushed(direction):
        return forward_mode(jax.jvp, lambda v: f(v[:n], v[n:]), (both,), (direction,))

    return jax.vmap(pushed, out_axes=(None, -1))(jnp.eye(len(both), dtype=both.dtype))


def errors_with_jacobian(problem: Problem, theta, s, e, given):
    """`_weighted_errors`, and their slopes along (θ, s)."""
    both, n = jnp.concatenate([theta, s]), len(theta)

    def model_at(v):
        return problem.parameters(v[:n]), problem.states.state(v[n:], given)

    if not is_worthwhile(problem.objective, both, model_at, e):
        return _with_jacobian(
            lambda theta, s: _weighted_errors(problem, theta, s, e, given), theta, s
        )
    (errors, end), (slopes, ends) = with_sensitivities(problem.objective, both, model_at, e)
    known, of_known = _with_jacobian(
        lambda theta, s: _state_prior_rows(problem, s, given), theta, s
    )
    errors, by_errors = jax.jvp(
        partial(weighted_residuals, problem), (errors,), (jnp.ones_like(errors),)
    )
    flat = errors.ravel(), known
    J = (slopes * by_errors[..., None]).reshape(errors.size, len(both)), of_known
    flat, J = jnp.concatenate(flat), jnp.concatenate(J)
    if problem.join is None:
        return (flat, s[:0]), (J, J[:0])
    end = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(end)])
    ends = jnp.concatenate([leaf.reshape(-1, len(both)) for leaf in jax.tree.leaves(ends)])
    return (flat, end), (J, ends)


def _state_prior_rows(problem, s, given):
    """What is known of an initial state, as rows of residuals."""
    return jnp.concatenate([s[:0], *problem.states.priors(problem.states.state(s, given))])


@jax.jit
def linearise(problem: Problem, z) -> Linearisation:
    """Loss and triangle of all residuals at z."""
    theta, states = problem.parts(z)
    n, m = len(theta), problem.states.size
    loss, joins, blocks, own, found = jnp.zeros((), z.dtype), [], [], n, None
    rows = zip(problem.groups, problem.given, problem.joined, states, strict=True)
    for group, given, joined, s in rows:

        def one(s, e, given):
            return errors_with_jacobian(problem, theta, s, e, given)

        (r, end), (J, J_end) = jax.vmap(one)(s, group, given)
        # One triangle after the other: two batches of them at a time wait for each other's
        # threads, for ever, in jaxlib 0.10 on two cores.
        r = r if found is None else _order_after(found.q, r)
        found = jax.vmap(qr_reduce)(r, J)
        loss += jnp.sum(found.loss)
        places = own + m * np.arange(len(s))
        blocks.append(_scatter_columns(found.R, found.q, n, places, len(z)))
        if problem.join is not None:
            gap, slope = _continuity_gaps(problem.join, joined, s, end, J_end)
            loss += 0.5 * jnp.sum(gap * gap)
            joins.append(_scatter_columns(slope, gap, n, places[:-1], len(z)))
        own += m * len(s)
    if any(problem.declared.priors):

        def prior_rows(theta, s):
            return jnp.concatenate(prior_residuals(problem.declared, problem.parameters(theta)))

        r, J = _with_jacobian(prior_rows, theta, theta[:0])
        loss += 0.5 * jnp.sum(r * r)
        blocks.append(_scatter_columns(J[None], r[None], n, np.array([n]), len(z)))
    # Heavy rows first: so a triangle keeps the digits of the light ones.
    everything = jnp.concatenate([*joins, *blocks])
    small = qr_reduce(everything[:, -1], everything[:, :-1])
    # The slopes along the states are in their own units until here.
    return Linearisation(loss, small.R * problem.unit.at[:n].set(1)[None], small.q)


def _order_after(first, x):
    """x, not before ``first`` is known; a barrier is no order to XLA, a number is."""
    number = first.ravel()[0]
    return x + jnp.where(jnp.isnan(number), number, 0)


def _continuity_gaps(join, joined, s, end, J_end):
    """Weighted gaps between an experiment's end and the start of the next, (E − 1, m), and
    their slopes along (θ, own state, next state); 0 where none goes on."""
    goes_on = joined[:-1]
    # An end from which none goes on may be anything, infinite too.
    gap = jnp.where(goes_on[:, None], join[None] * (end[:-1] - s[1:]), 0)
    slope = jnp.where(goes_on[:, None, None], join[None, :, None] * J_end[:-1], 0)
    ahead = jnp.where(goes_on[:, None, None], -jnp.diag(join)[None], 0)
    return gap, jnp.concatenate([slope, ahead], axis=2)


def _scatter_columns(J, r, n, places, total):
    """Rows (E, k, n + c) of E experiments, whose last c columns belong at their places among
    all, as rows (E k, total + 1) with r the last column."""
    count, k, width = J.shape
    wide = jnp.zeros((count, k, total + 1), J.dtype)
    wide = wide.at[:, :, :n].set(J[:, :, :n]).at[:, :, -1].set(r)
    columns = places[:, None, None] + np.arange(width - n)
    wide = wide.at[np.arange(count)[:, None, None], np.arange(k)[:, None], columns].set(J[:, :, n:])
    return wide.reshape(count * k, total + 1)


def divergence_error(problem: Problem, z, message: str) -> ValueError:
    """The error for a run that is not finite: of its inputs if one is not finite, else a
    `DivergenceError` with the given message."""
    for i, (_, e) in enumerate(problem.each(z)[1]):
        for leaf in jax.tree.leaves(e.xs):
            if jnp.issubdtype(leaf.dtype, jnp.inexact):
                bad = ~np.isfinite(np.asarray(leaf).reshape(len(leaf), -1)).all(axis=1)
                if bad.any():
                    return ValueError(
                        f"experiments[{i}].xs: expected finite inputs, got {bad.sum()} of "
                        f"{len(bad)} that are not, first at {np.argmax(bad)}"
                    )
    return DivergenceError(message)


def residuals(problem: Problem, z) -> list[np.ndarray]:
    """y − ŷ of each experiment, (N, outputs) or with a row for y0, in y's units; NaN is missing."""
    return problem.ordered(_to_host(_residuals(problem, z)))


@jax.jit
def _residuals(problem: Problem, z):
    theta, states = problem.parts(z)
    p, found = problem.parameters(theta), []
    for group, given, s in zip(problem.groups, problem.given, states, strict=True):

        def one(s, e, given):
            y = e.y if e.y0 is None else jnp.concatenate([e.y0[None], e.y])
            errors, _ = problem.objective.errors(p, problem.states.state(s, given), e)
            return jnp.where(jnp.isnan(y), jnp.nan, errors)

        found.append(jax.vmap(one)(s, group, given))
    return found


def _to_host(tree):
    """Arrays of NumPy, but for keys of random numbers, which it does not know."""

    def host(leaf):
        return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.extended) else np.asarray(leaf)

    return jax.tree.map(host, tree)
