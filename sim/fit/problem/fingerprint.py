"""Fingerprint of a problem: a search can be resumed only on the problem it began with."""

import re
from typing import Any, NamedTuple
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np

from sim.check import aval
from sim.messages import join_names
from sim.names import leaf_names


class Fingerprint(NamedTuple):
    """A few numbers (4,) for each part of a problem, which tell it from another one."""

    objective: Any
    start: Any
    parameters: Any
    experiments: Any
    states: Any
    state_kinds: Any
    validation: Any


def fingerprint(problem, validation=None) -> Fingerprint:
    """The fingerprint of a problem, and of the problem of its validation experiments, if any.

    >>> from sim import Stepper
    >>> from sim.fit import Experiment, Simulation
    >>> from sim.fit.problem.assemble import build_problem
    >>> def gain(p):
    ...     return Stepper(lambda: (), lambda c, u: (c, p * u))
    >>> e = Experiment(np.ones(2), np.ones((2, 1)))
    >>> one, other = (fingerprint(build_problem(Simulation(gain), p, e)[0]) for p in (1.0, 2.0))
    >>> differing_parts(one, other)
    ['start']
    """
    objective, layout, states = problem.objective, problem.layout, problem.states
    validation_records = ()
    if validation is not None:
        validation_records = validation.groups, validation.initial_states
    return Fingerprint(
        _summarise((), type(objective).__name__, objective.robust),
        _summarise(problem.start, layout.names),
        _summarise((), layout.kinds, layout.priors),
        _summarise(problem.groups, problem.order),
        _summarise(problem.initial_states, states.layout.names),
        _summarise((), states.layout.kinds, states.layout.priors, states.free),
        _summarise(validation_records, validation is None),
    )


def _summarise(tree, *words):
    """A hash of words and shapes; the sum of the sizes of all numbers, a sum that depends on
    their order, and how far rounding may change both sums."""
    leaves = [(_as_floats(leaf), _rounding(leaf)) for leaf in jax.tree.leaves(tree)]
    # An object without a name shows its address, which is another in every process.
    text = re.sub(r" at 0x[0-9a-f]+", "", repr((words, [x.shape for x, _ in leaves])))
    size, ordered_sum, slack = 0.0, 0.0, 0.0
    for i, (x, eps) in enumerate(leaves):
        leaf_size = float(np.abs(x).sum())
        size, slack = size + leaf_size, slack + 16 * eps * leaf_size
        ordered_sum += float(x.ravel() @ np.cos(i + np.arange(x.size)))
    return np.array([crc32(text.encode()), size, ordered_sum, slack])


def _as_floats(leaf):
    if jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.nan_to_num(np.asarray(leaf).astype(float), nan=0.5, posinf=0.25, neginf=-0.25)


def _rounding(leaf):
    dtype = getattr(leaf, "dtype", float)
    return float(jnp.finfo(dtype if jnp.issubdtype(dtype, jnp.floating) else float).eps)


def matches(a, b) -> bool:
    """Whether two parts are equal up to the rounding of another machine."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return bool(a[0] == b[0] and (np.abs(a - b)[1:3] <= a[3]).all())


def differing_parts(one: Fingerprint, other: Fingerprint) -> list[str]:
    """Names of the parts in which two fingerprints differ."""
    pairs = zip(Fingerprint._fields, one, other, strict=True)
    return [name for name, a, b in pairs if not matches(a, b)]


def check_fingerprint(before: Fingerprint | None, now: Fingerprint) -> None:
    """Raise ValueError unless both are fingerprints of one problem."""
    if before is None:
        raise ValueError(
            "search: expected one that knows the problem it began with, got one without, of "
            "segments that stayed apart or of an earlier version"
        )
    differing = differing_parts(before, now)
    if differing:
        raise ValueError(
            "search: expected the problem it began with, in whose units it counts, got another: "
            f"{join_names(differing)}"
        )


def check_same_state(state, expected) -> None:
    """Raise ValueError unless a state has the type, shapes and dtypes that are expected."""
    if jax.tree.structure(state) != jax.tree.structure(expected):
        raise ValueError(
            "search: expected the state of a search by this objective and solver, got "
            f"that of another, a {type(state).__module__}.{type(state).__name__}"
        )
    rows = zip(
        leaf_names(expected, "search"),
        jax.tree.leaves(expected),
        jax.tree.leaves(state),
        strict=True,
    )
    for name, wanted, leaf in rows:
        if aval(wanted) != aval(leaf):
            raise ValueError(f"search: expected {name} as {aval(wanted)}, got {aval(leaf)}")
