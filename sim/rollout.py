"""Driving a step through time: the only `lax.scan` calls of the project."""

import math
import weakref
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sim import check
from sim.step import Carry, Step, Stepper, Y, as_pytree


def rollout(
    step: Step,
    carry: Carry,
    xs: Any = None,
    *,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    checkpoint_every: int | None = None,
) -> tuple[Carry, Y]:
    """Apply a step once for every element of ``xs`` and stack what it emits.

        (carryₖ₊₁, ysₖ) = step(carryₖ, xsₖ),   k = 0, …, N−1

    Args:
        step: ``(carry, x) -> (carry, y)``; the carry keeps its structure, shapes
            and dtypes, the rest is free.
        carry: the initial carry, any pytree of arrays.
        xs: any pytree of arrays with one leading axis of length N, or None for a
            step that runs by itself (then ``length`` is N and x is None).
        length: N; optional, but checked, when ``xs`` has leaves.
        reverse: run from k = N−1 down to 0; ``ys`` keep the order of ``xs``.
        unroll: steps per iteration of the compiled loop, as in `lax.scan`.
        checkpoint_every: keep the carry only every so many steps for the gradient
            and recompute the steps between. A gradient over N steps then stores
            N/n + n carries instead of N; n ≈ √N is the smallest.

    Returns:
        The last carry, and ``ys`` stacked along a new leading axis: ``ys[k]``
        belongs to the end of step k. The initial state is never prepended.

    Raises:
        ValueError: ``length`` is missing or disagrees, the leading axes of ``xs``
            disagree, or the step returns a carry of another structure, shape or
            dtype; the message names the leaves.

    A gradient recomputes each step instead of storing what happened inside it
    (`jax.checkpoint`): measured faster, not only smaller. Only matrix products over 128
    terms and more are kept, beside the carries; ``checkpoint_every`` bounds those too.
    Outside `jit` every call compiles again: jit the run that calls it more than once.

    Reference: `jax.lax.scan`; A. Griewank and A. Walther, "Algorithm 799: revolve",
    ACM TOMS 26 (2000), for checkpointing.

    >>> import jax.numpy as jnp
    >>> total, sums = rollout(lambda c, x: (c + x, c + x), 0.0, jnp.arange(1.0, 5.0))
    >>> sums.tolist()
    [1.0, 3.0, 6.0, 10.0]
    """
    check.function("step", step)
    length = check.scan_length(xs, length)
    carry = check.concrete_carry(step, carry, xs)
    unroll = check.unroll(unroll)
    body = _body(step)
    if checkpoint_every is None and length == 1:
        return _once(body, carry, xs)
    if checkpoint_every is None:
        return jax.lax.scan(body, carry, xs, length, reverse=reverse, unroll=unroll)

    every = min(check.positive("checkpoint_every", checkpoint_every), max(length, 1))

    def segment(carry, xs):
        return jax.lax.scan(body, carry, xs, every, reverse=reverse, unroll=unroll)

    # The steps that fill no segment come last in time: at the end, or, in reverse,
    # at the start of the arrays.
    segments, rest = divmod(length, every)
    cut = rest if reverse else length - rest
    first, last = _split(xs, cut)
    whole, part = (last, first) if reverse else (first, last)
    whole = jax.tree.map(lambda x: x.reshape(segments, every, *x.shape[1:]), whole)
    carry, ys = jax.lax.scan(
        jax.checkpoint(segment, prevent_cse=False), carry, whole, segments, reverse=reverse
    )
    ys = jax.tree.map(lambda y: y.reshape(segments * every, *y.shape[2:]), ys)
    if not rest:
        return carry, ys
    carry, tail = jax.lax.scan(body, carry, part, rest, reverse=reverse, unroll=unroll)
    pair = (tail, ys) if reverse else (ys, tail)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *pair)


def _once(body, carry, xs):
    """One step, in a loop of two iterations of which the second does nothing.

    XLA unrolls a loop of one iteration and fuses its operations differently, so that one
    step alone would round differently from the same step among others.
    """

    def either(carry, run_x):
        run, x = run_x
        y = jax.eval_shape(body, carry, x)[1]
        rest = Partial(_idle, jax.tree.map(lambda y: jnp.zeros(y.shape, y.dtype), y))
        return jax.lax.cond(run, body, rest, carry, x)

    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), xs)
    carry, ys = jax.lax.scan(either, carry, (np.array([True, False]), twice), 2)
    return carry, jax.tree.map(lambda y: y[:1], ys)


def _idle(y, carry, x):
    return carry, y


def _body(step):
    """The step as the loop runs it: checked, and recomputed in a gradient.

    The same step gives the same body, which `lax.scan` then need not trace and compile
    again. The body refers to its step weakly, so that this keeps none alive.
    """
    try:
        if step in _bodies:
            return _bodies[step]
        alive = weakref.ref(step)
    except TypeError:  # not hashable, or without weak references: not remembered
        return _checkpoint(check.check_step(step))
    body = _checkpoint(check.check_step(lambda *args: alive()(*args)))
    _bodies[step] = body
    return body


_bodies = weakref.WeakKeyDictionary()

# Terms in a sum from which a matrix product costs more than keeping its result does:
# measured with networks of 64 units (keeping is 1.2 times slower) and of 256 (1.3 faster).
LARGE = 128


def _checkpoint(body):
    return jax.checkpoint(body, prevent_cse=False, policy=_worth_keeping)


def _worth_keeping(primitive, *operands, dimension_numbers=None, **_):
    """Whether a gradient keeps this result of a step instead of computing it again."""
    if primitive.name != "dot_general":
        return False
    (summed, _), (batched, _) = dimension_numbers
    return not batched and math.prod(operands[0].shape[i] for i in summed) >= LARGE


def _split(xs, cut):
    return jax.tree.map(lambda x: x[:cut], xs), jax.tree.map(lambda x: x[cut:], xs)


@runtime_checkable
class Divisible(Protocol):
    """An input that is defined within a step, as `sim.inputs.Piece` is."""

    def subdivide(self, n: int) -> Any:
        """The same input as n pieces, stacked along a new leading axis."""


def repeat(step: Step, n: int) -> Step:
    """n substeps per emission: the input is held, the last y is emitted.

    A `Divisible` in x, such as `sim.inputs.Piece`, is not held but cut into n pieces, so
    that a first-order hold stays a ramp through all the substeps.

    Args:
        step: any step.
        n: substeps, at least 1.

    >>> import jax.numpy as jnp
    >>> double = lambda c, x: (2 * c, 2 * c)
    >>> rollout(repeat(double, 3), jnp.asarray(1), length=2)[1].tolist()
    [8, 64]
    """
    check.function("step", step)
    return Partial(_Repeated(check.positive("n", n)), as_pytree(step))


class _Repeated:
    """The body of `repeat` for one n; equal n are equal, so that jit traces once."""

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return isinstance(other, _Repeated) and self.n == other.n

    def __hash__(self):
        return hash((_Repeated, self.n))

    def __call__(self, step, carry, x):
        n = self.n
        if n == 1:
            return step(carry, x)
        step = check.check_step(step)
        nodes, treedef = jax.tree.flatten(x, is_leaf=_is_divisible)
        pieces = [node.subdivide(n) if _is_divisible(node) else None for node in nodes]

        def substep(carry_y, pieces):
            parts = [node if p is None else p for node, p in zip(nodes, pieces, strict=True)]
            return step(carry_y[0], jax.tree.unflatten(treedef, parts)), None

        first = jax.tree.unflatten(
            treedef,
            [
                node if p is None else jax.tree.map(lambda a: a[0], p)
                for node, p in zip(nodes, pieces, strict=True)
            ],
        )
        y = jax.eval_shape(lambda c, x: step(c, x)[1], carry, first)
        y = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), y)
        substep = jax.checkpoint(substep, prevent_cse=False)
        (carry, y), _ = jax.lax.scan(substep, (carry, y), pieces, n)
        return carry, y


def _is_divisible(node):
    return isinstance(node, Divisible)


def cascade(*steppers: Stepper) -> Stepper:
    """Steppers in series: the y of one is the x of the next, in one step.

    The carry is the tuple of their carries; ``init`` takes one argument for each
    stepper, in order, and what the last one emits is emitted.

    >>> import jax.numpy as jnp
    >>> integrator = Stepper(lambda c: c, lambda c, x: (c + x, c + x))
    >>> twice = cascade(integrator, integrator)
    >>> zero = jnp.asarray(0.0)
    >>> rollout(twice.step, twice.init(zero, zero), jnp.ones(4))[1].tolist()
    [1.0, 3.0, 6.0, 10.0]
    """
    if not steppers:
        raise ValueError("cascade: expected at least one stepper, got none")
    for i, stepper in enumerate(steppers):
        if not isinstance(stepper, Stepper):
            raise ValueError(f"steppers[{i}]: expected a Stepper, got {type(stepper).__name__}")
    inits, steps = (tuple(map(as_pytree, fs)) for fs in zip(*steppers, strict=True))
    return Stepper(Partial(_cascade_init, inits), Partial(_cascade_step, steps))


def _cascade_init(inits, *args):
    if len(args) != len(inits):
        raise ValueError(
            f"cascade init: expected one argument for each of {len(inits)} steppers, "
            f"got {len(args)}"
        )
    return tuple(init(arg) for init, arg in zip(inits, args, strict=True))


def _cascade_step(steps, carries, x):
    out = []
    for step, carry in zip(steps, carries, strict=True):
        carry, x = check.pair(step(carry, x))
        out.append(carry)
    return tuple(out), x
