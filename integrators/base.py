"""One-step integrators: from an `advance` to a stepper that keeps time.

A new method is one function in one file,

    advance(f, t, y, u, dt) -> y at t + dt

where ``f(t, y, u)`` is the vector field and ``u(theta)`` the input at the fraction
theta of the step, and one line, ``name = OneStep(advance, order)``. The tests find
it there, take its order at its word, and measure it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial, keystr, tree_flatten_with_path

from sim import Stepper, check
from sim.piece import at
from sim.step import as_pytree

VectorField = Callable[[Any, Any, Any], Any]


class Clocked(NamedTuple):
    """The carry of every integrator: the start, the steps done, and the state.

    Time is ``t0 + k·dt`` from the integer k, never a running sum.
    """

    t0: Any
    k: Any
    y: Any


@dataclass(frozen=True)
class OneStep:
    """A method that needs only the present state: ``method(f, dt) -> Stepper``.

    Attributes:
        advance: ``advance(f, t, y, u, dt) -> y``, one step of length dt.
        order: the order p of its global error O(dtᵖ), which the tests measure.

    Calling it with a vector field ``f(t, y, u) -> dy/dt`` and a step length gives a
    stepper with ``init(y0, t0=0.0)``. The state is any pytree of floating (or
    complex) arrays; ``ys[k]`` is the state at the end of step k, at
    ``t0 + (k + 1)·dt``. A negative dt integrates backwards in time. x is None, an
    array held through the step, or a `sim.inputs.Piece` evaluated at every stage's
    own time (of a record run backwards, ``pieces.backwards()`` with ``reverse=True``).

    Raises:
        ValueError: dt is 0 or not finite, f is not a function, its derivative has another
            shape than the state, or the carry is not from ``init``.

    >>> from sim import rollout
    >>> from integrators import rk4
    >>> decay = rk4(lambda t, y, u: -y, 0.1)
    >>> carry, ys = rollout(decay.step, decay.init(1.0), length=10)
    >>> round(float(ys[-1]), 6)  # exp(-1) is 0.367879
    0.36788
    """

    advance: Callable[..., Any]
    order: int

    def __call__(self, f: VectorField, dt) -> Stepper:
        check.function("f", f)
        check.real("dt", dt)
        if not isinstance(dt, jax.core.Tracer) and not (np.all(np.isfinite(dt)) and np.all(dt)):
            raise ValueError(f"dt: expected a finite step length other than 0, got {dt}")
        return Stepper(Partial(_init), Partial(self._step, as_pytree(f), dt))

    def _step(self, f, dt, carry: Clocked, x):
        if not isinstance(carry, Clocked):
            raise ValueError(
                "carry: expected what init(y0, t0) of the stepper returns, "
                f"got {check.describe(carry)}"
            )
        dt = jnp.asarray(dt, carry.t0.dtype)
        t = carry.t0 + carry.k.astype(dt.dtype) * dt
        y = self.advance(_check_field(f), t, carry.y, lambda theta: at(x, theta), dt)
        return Clocked(carry.t0, carry.k + 1, y), y


def _init(y0, t0=0.0) -> Clocked:
    check.arrays("y0", y0)
    check.real("t0", t0)
    y0 = jax.tree.map(_as_float, y0)
    leaves = jax.tree.leaves(y0)
    if not leaves:
        raise ValueError(f"y0: expected a pytree with at least one array, got {y0!r}")
    # A time of 16 bits would stop after some hundred steps.
    kinds = [jnp.finfo(leaf.dtype).dtype for leaf in leaves]
    dtype = max(jnp.dtype("float32"), *kinds, key=lambda kind: kind.itemsize)
    return Clocked(jnp.asarray(t0, dtype), jnp.asarray(0, jnp.result_type(int)), y0)


def _as_float(leaf):
    leaf = jnp.asarray(leaf)
    inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
    return jnp.asarray(leaf, leaf.dtype if inexact else jnp.result_type(float))


def _check_field(f):
    """f, which checks its derivative against the state while it is traced."""

    def field(t, y, u):
        dy = f(t, y, u)
        if jax.tree.structure(dy) != jax.tree.structure(y):
            raise ValueError(
                f"f: expected a derivative with the structure of the state, {check.describe(y)}, "
                f"got {check.describe(dy)}"
            )
        mistakes = [
            f"f{keystr(path)}: expected {check.aval(a)}, as the state, got {check.aval(b)}"
            for (path, a), b in zip(tree_flatten_with_path(y)[0], jax.tree.leaves(dy), strict=True)
            if np.shape(a) != np.shape(b) or not _fits(b, a.dtype)
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return dy

    return field


def _fits(x, dtype):
    """Whether x keeps the dtype of the state, as a Python number or a weak type may."""
    if isinstance(x, int | float | complex) or getattr(x, "weak_type", False):
        return jnp.issubdtype(dtype, jnp.complexfloating) or not jnp.iscomplexobj(x)
    return jnp.result_type(x) == dtype


def add(y, dt, terms):
    """y + dt·Σ wᵢ kᵢ over pytrees, for ``terms`` of (weight, k); a zero weight costs nothing.

    The terms are summed in order, each by one multiply-add: measured the fastest.
    """
    terms = [(w, k) for w, k in terms if w != 0]

    def leaf(y, *ks):
        h = dt.astype(y.dtype)
        for (w, _), k in zip(terms, ks, strict=True):
            y = y + (h * w) * k
        return y

    return jax.tree.map(leaf, y, *[k for _, k in terms])
