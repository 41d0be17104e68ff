"""What a search was of: it can only go on with the same problem."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np

from sim.check import aval
from sim.messages import join_names
from sim.names import leaf_names


class Fingerprint(NamedTuple):
    """A few numbers by which each part of a problem is known again, each (4,)."""

    objective: Any
    start: Any
    parameters: Any
    experiments: Any
    states: Any
    state_kinds: Any
    validation: Any


def fingerprint(problem, watched=None) -> Fingerprint:
    """The mark of a problem, and of the validation experiments of its search if it has any.

    >>> from sim import Stepper
    >>> from sim.fit import Experiment, Simulation
    >>> from sim.fit.problem.assemble import build_problem
    >>> def gain(p):
    ...     return Stepper(lambda: (), lambda c, u: (c, p * u))
    >>> e = Experiment(np.ones(2), np.ones((2, 1)))
    >>> one, other = (fingerprint(build_problem(Simulation(gain), p, e)[0]) for p in (1.0, 2.0))
    >>> [name for name in Fingerprint._fields if not matches(getattr(one, name), getattr(other, name))]
    ['start']
    """
    objective, declared, states = problem.objective, problem.declared, problem.states
    return Fingerprint(
        _summarise((), type(objective).__name__, getattr(objective, "robust", None)),
        _summarise(problem.start, declared.names),
        _summarise((), declared.kinds, declared.priors),
        _summarise(problem.groups, problem.order),
        _summarise(problem.given, states.declared.names),
        _summarise((), states.declared.kinds, states.declared.priors, states.free),
        _summarise(() if watched is None else (watched.groups, watched.given), watched is None),
    )


def _summarise(tree, *words):
    """Words and shapes as one number; of all numbers their size, a sum that knows their order,
    and how far rounding may move both."""
    leaves = [(_as_floats(leaf), _rounding(leaf)) for leaf in jax.tree.leaves(tree)]
    # The address of what has no name of its own is another in every process.
    said = re.sub(r" at 0x[0-9a-f]+", "", repr((words, [x.shape for x, _ in leaves])))
    size, order, slack = 0.0, 0.0, 0.0
    for i, (x, eps) in enumerate(leaves):
        own = float(np.abs(x).sum())
        size, slack = size + own, slack + 16 * eps * own
        order += float(x.ravel() @ np.cos(i + np.arange(x.size)))
    return np.array([crc32(said.encode()), size, order, slack])


def _as_floats(leaf):
    if jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.nan_to_num(np.asarray(leaf).astype(float), nan=0.5, posinf=0.25, neginf=-0.25)


def _rounding(leaf):
    dtype = getattr(leaf, "dtype", float)
    return float(jnp.finfo(dtype if jnp.issubdtype(dtype, jnp.floating) else float).eps)


def matches(a, b) -> bool:
    """Whether two parts are the same but for rounding, which another machine may do otherwise."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return bool(a[0] == b[0] and (np.abs(a - b)[1:3] <= a[3]).all())


def check_resumable(search: Any, problem, watched, begin: Callable, z) -> None:
    """Nothing, where a search began with this problem.

    Args:
        search: a `Progress`, or whatever the user took for one.
        problem, watched: of the fit that is to go on.
        begin, z: ``begin(problem, z)`` is the state of such a search.

    Raises:
        ValueError: it is no search, or that of another problem or solver; what differs is named.
    """
    if not hasattr(search, "search") or not hasattr(search, "fingerprint"):
        raise ValueError(
            f"search: expected the search of a Fit, as found.search, got {type(search).__name__}"
        )
    check_fingerprint(search.fingerprint, fingerprint(problem, watched))
    check_same_state(search.search, jax.eval_shape(begin, problem, z))


def check_fingerprint(before: Fingerprint | None, now: Fingerprint) -> None:
    """Nothing, where two marks are of one problem.

    Raises:
        ValueError: they are not, or there is none of the one before.
    """
    if before is None:
        raise ValueError(
            "search: expected one that knows the problem it began with, got one without, of "
            "segments that stayed apart or of an earlier version"
        )
    differ = [
        name
        for name in Fingerprint._fields
        if not matches(getattr(before, name), getattr(now, name))
    ]
    if differ:
        raise ValueError(
            "search: expected the problem it began with, in whose units it counts, got another: "
            f"{join_names(differ)}"
        )


def check_same_state(search, expected) -> None:
    """Nothing, where the state of a search is of the same solver and in the same numbers.

    Raises:
        ValueError: it is not.
    """
    if jax.tree.structure(search) != jax.tree.structure(expected):
        inner = type(getattr(search, "search", search))  # of an ensemble's members
        raise ValueError(
            "search: expected the state of a search by this objective and solver, got "
            f"that of another, a {inner.__module__}.Search"
        )
    rows = zip(
        leaf_names(expected, "search"),
        jax.tree.leaves(expected),
        jax.tree.leaves(search),
        strict=True,
    )
    for name, a, b in rows:
        if aval(a) != aval(b):
            raise ValueError(f"search: expected {name} as {aval(a)}, got {aval(b)}")
