"""A rollout in chunks: their lengths, their inputs and their compiled programs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim import check
from sim.rollout import rollout
from sim.step import Carry, Step

CHUNK_STEPS = 100_000
CHUNK_BYTES = 32 * 2**20


def default_chunk(
    step: Step, carry: Carry, xs: Any = None, *, length: int, save_every: int = 1
) -> int:
    """Steps per chunk: 10⁵, or what 32 MiB hold, and no more than the whole run.

    Args:
        step, carry, xs, length, save_every: as for `stream`.

    >>> import jax.numpy as jnp
    >>> default_chunk(lambda c, x: (c, c), jnp.zeros((64, 64)), length=10**6)
    1024
    """
    every = check.positive("save_every", save_every)
    steps = check.positive("length", length) // every * every
    source = source_of(xs, length)
    x = source(0, 1)
    carry = check.concrete_carry(step, carry, x)
    x = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), x)
    y = jax.eval_shape(step, carry, x)[1]
    size = _bytes(y) / every + _bytes(x)
    # The first chunk is one record short: see bounds_of.
    chunk = min(CHUNK_STEPS, int(CHUNK_BYTES / max(size, 1)), steps + every)
    return max(chunk // every * every, every, 2)


def _bytes(tree):
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def check_chunk(chunk, every):
    """chunk as an int; ValueError unless it is a multiple of save_every, and 2 or more."""
    chunk = check.positive("chunk", chunk)
    if chunk % every:
        raise ValueError(f"chunk: expected a multiple of save_every, {every}, got {chunk}")
    if chunk == 1:
        # XLA compiles a loop of one step without the loop, and may round differently.
        raise ValueError("chunk: expected at least 2 steps, got 1")
    return chunk


def bounds_of(begin, steps, chunk, every):
    """(start, stop) of each chunk. The first is one record short; none has a single step.

    With the initial state as record 0, the records then come in whole chunks. A file with
    chunks of the same length never rewrites one, so a kill during a write damages no record
    that a checkpoint needs.
    """
    if begin == steps:
        return []
    first = chunk - every
    first += chunk if first == 1 else 0
    cuts = [begin, *(cut for cut in range(first, steps, chunk) if cut > begin), steps]
    if len(cuts) > 2 and cuts[-1] - cuts[-2] == 1:
        del cuts[-2]
    return list(zip(cuts, cuts[1:], strict=False))


def source_of(xs, length):
    """``source(start, stop)``, the slice of xs that those steps take."""
    if callable(xs) and jax.tree_util.all_leaves([xs]):
        return xs
    check.scan_length(xs, length)
    xs = jax.tree.map(np.asarray, xs)
    return lambda start, stop: jax.tree.map(lambda x: x[start:stop], xs)


def on_device(xs):
    """The tree with its leaves as JAX arrays."""
    return jax.tree.map(jnp.asarray, xs)


def compile_chunks(step, carry, source, bounds, every):
    """{steps: the compiled rollout of a chunk of so many steps}"""
    compiled = {}
    for start, end in bounds:
        if end - start not in compiled:
            jitted = jax.jit(_rollout_saving, static_argnums=(3, 4))
            lowered = jitted.lower(step, carry, on_device(source(start, end)), end - start, every)
            compiled[end - start] = lowered.compile()
    return compiled


def _rollout_saving(step, carry, xs, steps, every):
    """The rollout of a chunk, of which only the end of every n-th step is kept."""
    if every == 1:
        return rollout(step, carry, xs, length=steps)
    groups = steps // every
    xs = jax.tree.map(lambda x: x.reshape(groups, every, *x.shape[1:]), xs)
    y = jax.eval_shape(step, carry, jax.tree.map(lambda x: x[0, 0], xs))[1]
    y = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), y)

    def group(carry, xs):
        last, _ = rollout(lambda held, x: (step(held[0], x), None), (carry, y), xs, length=every)
        return last

    return rollout(group, carry, xs, length=groups)
