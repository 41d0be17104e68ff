"""Linear recurrences that are diagonal over the complex numbers, step by step or in parallel.

Complex numbers are pairs of real arrays: accelerators have no complex float64, and pairs
keep a small step one native loop.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim import Stepper
from sim.rnn import cell


class Modes(NamedTuple):
    """A discrete-time linear system in modal form, z ← a ⊙ z + u B, y = Re(z C) + u D.

    Attributes:
        re: (n,), Re a.
        im: (n,), Im a.
        B: (inputs, 2n), Re B and Im B side by side.
        C: (2n, outputs), Re C above −Im C.
        D: (inputs, outputs).
    """

    re: jax.Array
    im: jax.Array
    B: jax.Array
    C: jax.Array
    D: jax.Array


class Carry(NamedTuple):
    """The modes z: real and imaginary part, each (..., n)."""

    re: jax.Array
    im: jax.Array


def stepper(modes: Modes) -> Stepper:
    """The recurrence as a step: x = u (..., inputs), y (..., outputs), carry `Carry`.

    >>> spiral = Modes(*map(jnp.asarray, ([0.0], [1.0], [[1.0, 0.0]], [[1.0], [0.0]], [[0.0]])))
    >>> carry, y = stepper(spiral).step(stepper(spiral).init(), jnp.ones(1))
    >>> carry, y = stepper(spiral).step(carry, jnp.zeros(1))
    >>> carry.re.tolist(), carry.im.tolist()
    ([0.0], [1.0])
    """
    return Stepper(Partial(_init, modes), Partial(_step, modes))


def parallel(modes: Modes, carry: Carry, xs: jax.Array) -> tuple[Carry, jax.Array]:
    """A rollout of `stepper` by parallel prefix products of depth log₂ N.

        (a, b) ∘ (a', b') = (a a', b a' + b')

    is associative; its prefix products over the steps are all states.

    Args:
        modes: `Modes`.
        carry: the modes at the start, leaves (..., n).
        xs: (N, ..., inputs).

    Returns:
        The carry at the end, and ys (N, ..., outputs), to rounding.

    Reference: G. E. Blelloch, "Prefix sums and their applications" (1990).
    """
    xs = jnp.asarray(xs)
    if xs.ndim < 2:
        raise ValueError(f"xs: expected (N, ..., inputs), got shape {xs.shape}")
    x = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
    jax.eval_shape(lambda carry, x: _step(modes, carry, x), carry, x)  # the same mistakes
    # The initial state is one more element, before the first step.
    b = [
        jnp.concatenate([jnp.asarray(z)[None], part])
        for z, part in zip(carry, jnp.split(xs @ modes.B, 2, axis=-1), strict=True)
    ]
    shape = (len(xs) + 1, *(1,) * (xs.ndim - 2), len(modes.re))
    a = [jnp.broadcast_to(part, shape) for part in (modes.re, modes.im)]
    re, im = jax.lax.associative_scan(_compose, (*a, *b))[2:]
    ys = _output(modes, Carry(re[1:], im[1:]), xs)
    return Carry(re[-1], im[-1]), ys


def _compose(first, then):
    (ar, ai, br, bi), (cr, ci, dr, di) = first, then
    return (
        ar * cr - ai * ci,
        ar * ci + ai * cr,
        br * cr - bi * ci + dr,
        br * ci + bi * cr + di,
    )


def _init(modes, carry=None):
    return cell.start(_like(modes)[1], carry)


def _step(modes, carry, x):
    (re, im), x = cell.check_input(*_like(modes), carry, x)
    a_re, a_im = (jnp.broadcast_to(a, re.shape) for a in (modes.re, modes.im))
    b_re, b_im = jnp.split(x @ modes.B, 2, axis=-1)
    carry = Carry(a_re * re - a_im * im + b_re, a_re * im + a_im * re + b_im)
    return carry, _output(modes, carry, x)


def _output(modes, carry, x):
    return jnp.concatenate(carry, axis=-1) @ modes.C + x @ modes.D


def _like(modes):
    leaf = jax.ShapeDtypeStruct(modes.re.shape, modes.re.dtype)
    return modes.D.shape[0], Carry(leaf, leaf)
