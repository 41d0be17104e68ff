"""Linear recursions along time, in three forms with the same result.

A recursion is a step ``step(coefficients, z, x) -> (z, y)``, linear in the state z, a tuple
of n arrays (…) or one (n, …), and in the sample x (…); the trailing axes are channels, all
treated alike. Sample by sample, a tuple of a few arrays is three times faster than one.
`run` applies it to all samples, in one of three forms:

    scan         a step for every sample: streams, few samples, channels side by side
    block        Y = X Tᵀ + S Oᵀ,  s' = Aᴸ s + R x: products over blocks of L samples and
                 a step for every block; one long signal
    associative  the same, the states of the blocks by `lax.associative_scan`: accelerators

T, O, Aᴸ and R are the responses of the step to an impulse and to unit states over L
samples, and the states go from block to block in float64 where it is enabled. Largest
error for a pair of poles at radius 0.9999 and angle 0.05, 10⁵ samples of noise, relative:

                  float64   float32   float32, no float64 enabled
    scan          1.4e-13   1.0e-4    1.0e-4   (as scipy)
    block         3.7e-12   3.7e-6    2.5e-3
    associative   1.1e-11   3.7e-6    4.7e-2

All three differentiate in both modes; a reverse pass keeps the state of every 16th
sample, or fewer.

Reference: A. Burrus, "Block realization of digital filters", IEEE Trans. Audio
Electroacoust. 20 (1972).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sim import rollout
from sim.linalg import SUM_LIMIT

FORMS = ("scan", "block", "associative")
# With this many channels side by side the vector units of a CPU are full without blocks.
SIDE_BY_SIDE = 8
# Fewer samples than this are filtered before the blocks would be ready; measured.
MANY = 4096


class Blocks(NamedTuple):
    """The effect of L samples of a recursion.

    Attributes:
        T: (L, L), from the samples of the block to its outputs.
        O: (L, n), from the state before the block to its outputs.
        A: (n, n), from the state before to the state after.
        R: (n, L), from the samples to the state after.
    """

    T: Any
    O: Any  # noqa: E741
    A: Any
    R: Any


def run(step: Callable, coefficients, z, x, form: str | None = None, last: bool = True):
    """Apply a recursion to all samples.

    Args:
        step: ``step(coefficients, z, x) -> (z, y)``, see above.
        coefficients: any pytree.
        z: the state before the first sample, n arrays (…channels) or one (n, …channels).
        x: the samples, (…channels, T), or (T, …channels) without ``last``.
        form: "scan", "block" or "associative"; None chooses from shapes and device.
        last: whether time is the last axis of x.

    Returns:
        y, as x, and the state after the last sample, as z.

    Raises:
        ValueError: there is no such form.
    """
    form = form or choose_form(x, len(z), last)
    if form not in FORMS:
        raise ValueError(f"form: expected one of {FORMS} or None, got {form!r}")
    if form == "scan":
        z, y = _each(step, coefficients, z, jnp.moveaxis(x, -1, 0) if last else x)
        return (jnp.moveaxis(y, 0, -1) if last else y), z
    y, z = _by_blocks(
        step, coefficients, z, x if last else jnp.moveaxis(x, 0, -1), form == "associative"
    )
    return (y if last else jnp.moveaxis(y, -1, 0)), z


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _each(step, coefficients, z, x):
    return rollout(Partial(step, coefficients), z, x)


@_each.defjvp
def _each_jvp(step, primals, tangents):
    # The same, slower by a copy of y, but a reverse pass stores few states.
    every = _length(len(primals[1]), primals[2].dtype)

    def run_with_checkpoints(coefficients, z, x):
        return rollout(Partial(step, coefficients), z, x, checkpoint_every=every)

    return jax.jvp(run_with_checkpoints, primals, tangents)


def choose_form(x, n, last):
    """The fastest form for samples of this shape and n states on this device; measured."""
    samples = x.shape[-1 if last else 0]
    side_by_side = not last and x.size >= SIDE_BY_SIDE * samples
    if x.size < MANY or samples < 2 * _length(n, x.dtype) or n == 0 or side_by_side:
        return "scan"
    return "block" if jax.default_backend() == "cpu" else "associative"


def _length(n, dtype):
    """Samples in a block: longer ones cost more products and fewer steps; measured."""
    return 128 // np.dtype(dtype).itemsize if n <= 4 else 32


def blocks(step, coefficients, z, length, dtype) -> Blocks:
    """The effect of ``length`` samples of a recursion, by running it.

    Args:
        step, coefficients: as in `run`.
        z: a state like those of the step, for its number n.
        length: L.
        dtype: of the samples.

    >>> def one_pole(a, z, x):
    ...     return (a * (z[0] + x),), z[0] + x
    >>> b = blocks(one_pole, 0.5, (0.0,), 3, float)
    >>> b.T[:, 0].tolist(), b.O[:, 0].tolist(), b.A.tolist(), b.R.tolist()
    ([1.0, 0.5, 0.25], [1.0, 0.5, 0.25], [[0.125]], [[0.125, 0.25, 0.5]])
    """
    # Side by side: the response to an impulse, then to each unit state.
    n = len(z)
    sides = jnp.eye(n, n + 1, 1, dtype=dtype)
    x = np.zeros((length, n + 1))
    x[0, 0] = 1
    recorded_step = Partial(_step_and_emit, step, coefficients)
    after, (y, during) = rollout(recorded_step, _like(z, sides), jnp.asarray(x, dtype))
    lag = np.arange(length)[:, None] - np.arange(length)[None, :]
    T = jnp.where(lag >= 0, y[:, 0][np.maximum(lag, 0)], 0)
    return Blocks(T, y[:, 1:], _pack(after)[:, 1:], during[::-1].T)


def _step_and_emit(step, coefficients, z, x):
    z, y = step(coefficients, z, x)
    return z, (y, _pack(z)[:, 0])


def _pack(z):
    return jnp.stack(z) if isinstance(z, tuple) else z


def _like(z, packed):
    return tuple(packed) if isinstance(z, tuple) else packed


def _by_blocks(step, coefficients, z, x, associative):
    """y and the last state of x (…channels, T), block by block."""
    n, channels, samples = len(z), x.shape[:-1], x.shape[-1]
    length = _length(n, x.dtype)
    whole, rest = divmod(samples, length)
    # From block to block in the widest floats, as an error of Aᴸ would accumulate.
    wide = np.promote_types(x.dtype, jnp.zeros(()).dtype)
    b = blocks(step, jax.tree.map(lambda c: c.astype(wide), coefficients), z, length, wide)
    T, O, R = (m.astype(x.dtype) for m in (b.T, b.O, b.R))  # noqa: E741
    padded = jnp.pad(x, [(0, 0)] * len(channels) + [(0, -samples % length)])
    X = padded.reshape(np.prod(channels, dtype=int), whole + (rest > 0), length)
    entering = jnp.moveaxis(X @ R.T, 1, 0).astype(wide)  # (blocks, channels, n)
    start = _pack(z).reshape(n, len(X)).T.astype(wide)
    states = (states_by_prefix if associative else _sequence)(b.A, start, entering)
    S = jnp.moveaxis(states[:-1], 0, 1).astype(x.dtype)
    Y = jnp.concatenate([X, S], axis=2) @ jnp.concatenate([T, O], axis=1).T
    y = Y.reshape(*channels, Y.shape[1] * length)[..., :samples]
    z = _like(z, states[whole].astype(x.dtype).T.reshape(n, *channels))
    if rest:  # the rest, less than a block, sample by sample
        tail = jnp.moveaxis(x[..., whole * length :], -1, 0)
        z, _ = rollout(Partial(step, coefficients), z, tail)
    return y, z


def _sequence(A, start, entering):
    """The states s₀ … s_K of s' = A s + r, all channels, one block after the other."""
    if start.shape[0] == 1:  # as a vector the product stays in the compiled loop
        last, before = rollout(Partial(_next, A), start[0], entering[:, 0])
        before, last = before[:, None], last[None]
    else:
        last, before = rollout(Partial(_next_of_many, A), start, entering)
    return jnp.concatenate([before, last[None]])


def _next(A, s, r):
    product = jnp.sum(A * s[None], axis=1) if len(s) <= SUM_LIMIT else A @ s
    return product + r, s


def _next_of_many(A, s, r):
    return s @ A.T + r, s


def states_by_prefix(A, start, entering):
    """The same by an associative scan over the pairs (A, r)."""
    first = entering.at[:1].add((start @ A.T)[None])
    As = jnp.broadcast_to(A, (len(entering), *A.shape))

    def both(early, late):
        (A1, r1), (A2, r2) = early, late
        return A2 @ A1, r1 @ jnp.swapaxes(A2, -1, -2) + r2

    after = jax.lax.associative_scan(both, (As, first))[1]
    return jnp.concatenate([start[None], after])
