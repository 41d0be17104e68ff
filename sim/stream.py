"""Long runs: a host loop over compiled chunks, each handed on while the next computes."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sim import check
from sim import checkpoint as saved
from sim.names import leaf_names
from sim.rollout import rollout
from sim.step import Carry, Step

CHUNK_STEPS = 100_000
CHUNK_BYTES = 32 * 2**20


class Status(NamedTuple):
    """How far a stream is: what it reports before, between and after its chunks.

    Attributes:
        phase: "compiling", "running", then "done", "stopped" or "diverged".
        step: steps done and handed to the sink.
        length: steps the run will take.
        resumed: the step this call began at; 0 unless it resumed a checkpoint.
        compile_seconds, run_seconds: wall time, apart.
    """

    phase: str
    step: int
    length: int
    resumed: int
    compile_seconds: float
    run_seconds: float


class Streamed(NamedTuple):
    """The end of a stream: the last carry (NumPy leaves), and what was done.

    Attributes:
        carry: the carry after ``step`` steps.
        step, records: steps run and records saved, those before a resume included.
        finished: False where ``stop`` ended it early.
        compile_seconds, run_seconds: wall time of this call, apart.
    """

    carry: Any
    step: int
    records: int
    finished: bool
    compile_seconds: float
    run_seconds: float


class Diverged(ArithmeticError):
    """A run left the finite numbers; what came before is saved.

    Attributes:
        step: the first saved step, counted from 1, whose end is not finite.
        time: the time at its end, t0 + step·dt.
        variable: the name of a variable that is not finite there.
        member: its ensemble member, or None outside an ensemble.
        records: finite records saved since the start of the run.
    """

    def __init__(self, step, time, variable, member, records):
        super().__init__(step, time, variable, member, records)
        self.step, self.time, self.variable = step, time, variable
        self.member, self.records = member, records

    def __str__(self):
        member = "" if self.member is None else f" of member {self.member}"
        return (
            f"diverged: {self.variable}{member} is not finite at step {self.step} "
            f"(t = {self.time:.9g} s); {self.records} finite records are kept"
        )


def stream(
    step: Step,
    carry: Carry,
    xs: Any = None,
    *,
    length: int,
    sink: Callable[[int, Any], None],
    chunk: int | None = None,
    save_every: int = 1,
    t0: float = 0.0,
    dt: float = 1.0,
    ensemble: bool = False,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = False,
    identity: str = "",
    stop: Callable[[], bool] | None = None,
    report: Callable[[Status], None] | None = None,
) -> Streamed:
    """`rollout` for runs of any length: chunk by chunk, in bounded memory.

        (carryᵢ₊₁, ysᵢ) = rollout(step, carryᵢ, xsᵢ),   sink(first recordᵢ, ysᵢ)

    Chunk i+1 computes while the sink takes chunk i. What the sink receives, joined,
    equals ``rollout(step, carry, xs)[1][n-1::n]`` bit for bit, for n = ``save_every``
    and any chunk; a step that fills no group of n is not run.

    Args:
        step, carry: as for `rollout`.
        xs: None; a pytree of host arrays with leading axis ``length``; or a function
            ``xs(start, stop)`` that makes the slice for those steps as new arrays, so
            that memory does not grow with the run.
        length: steps of the whole run.
        sink: ``sink(first, ys)`` takes NumPy arrays with leading axis time; ``first``
            counts the records of the run before it. Record r ends step (r+1)·n.
        chunk: steps per compiled chunk, a multiple of ``save_every``; None chooses
            `default_chunk`.
        save_every: n, hand on the end of every n-th step only.
        t0, dt: time of the initial state and per step, in s, for what is reported.
        ensemble: the leading axis of every carry leaf and of every y is the member.
        checkpoint: a ``.npz`` file, replaced after each chunk that the sink has taken.
        resume: go on from ``checkpoint``; ``carry`` then gives the structure only.
        identity: a name for the run (the hash of its configuration); a checkpoint
            with another one is refused.
        stop: asked once in each chunk; True ends the run after it, resumable.
        report: receives a `Status` before compiling, before running, after each chunk
            and at the end.

    Returns:
        `Streamed`.

    Raises:
        Diverged: a saved value or the carry is not finite; all finite records before
            it have been handed on.
        ValueError: an argument is wrong, or the checkpoint is of another run.
        OSError: the checkpoint cannot be read or written.

    Source: the loop over a compiled scan is the outer level of checkpointing in
    A. Griewank and A. Walther, "Algorithm 799: revolve", ACM TOMS 26 (2000).

    >>> import jax.numpy as jnp
    >>> taken = []
    >>> end = stream(lambda c, x: (c + 1, c + 1), jnp.asarray(0), length=9, chunk=4,
    ...              save_every=2, sink=lambda first, ys: taken.append((first, ys.tolist())))
    >>> taken, end.step
    ([(0, [2, 4]), (2, [6, 8])], 8)
    """
    every = check.positive("save_every", save_every)
    steps = check.positive("length", length) // every * every
    if not steps:
        raise ValueError(f"length: expected at least save_every, {every}, got {length}")
    source = _source(xs, length)
    carry = check.concrete_carry(step, carry, source(0, 1))
    if chunk is None:
        chunk = default_chunk(step, carry, xs, length=length, save_every=every)
    chunk = _chunk(chunk, every)
    if jax.tree_util.all_leaves([step]):
        step = Partial(step)  # a plain function; one with parameters is a pytree already
    run = {"identity": identity, "save_every": every, "t0": t0, "dt": dt}
    begin, records = 0, 0
    if resume:
        if checkpoint is None:
            raise ValueError("resume: expected a checkpoint to go on from, got checkpoint=None")
        carry, begin, records = saved.load(checkpoint, carry, run)
        if begin > steps:
            raise ValueError(f"length: expected at least {begin}, where the checkpoint is, got {length}")
        carry = jax.tree.map(jnp.asarray, carry)
    seconds = {"compile": 0.0, "run": 0.0}

    def tell(phase, done):
        if report is not None:
            report(Status(phase, done, steps, begin, seconds["compile"], seconds["run"]))

    def chunk_of(bounds):
        # The host's part of a chunk; only the compiled call goes to the other thread.
        return compiled[bounds[1] - bounds[0]], _on_device(source(*bounds))

    tell("compiling", begin)
    bounds = _bounds(begin, steps, chunk, every)
    tic = time.perf_counter()
    compiled = _compile(step, carry, source, bounds, every)
    seconds["compile"] = time.perf_counter() - tic
    tell("running", begin)
    tic = time.perf_counter()
    done, finished, held = begin, True, jax.tree.map(np.asarray, carry)
    # XLA's CPU client runs a call on the thread that makes it.
    with ThreadPoolExecutor(1, "scansim-chunk") as thread:
        pending = thread.submit(_run, *chunk_of(bounds[0]), step, carry) if bounds else None
        for (start, done), ahead in zip(bounds, [*bounds[1:], None], strict=True):
            carry, ys = pending.result()
            held = jax.tree.map(np.asarray, carry)
            bad_carry = _first_bad(jax.tree.map(lambda x: x[None], held), "carry", ensemble)
            finished = not ahead or stop is None or not stop()
            if ahead and finished and not bad_carry:
                pending = thread.submit(_run, *chunk_of(ahead), step, carry)
            ys = jax.tree.map(np.asarray, ys)
            bad = _first_bad(ys, "y", ensemble)
            count = bad[0] if bad else (done - start) // every
            if count:
                sink(records, jax.tree.map(lambda y: y[:count], ys) if bad else ys)  # noqa: B023
            records += count
            if checkpoint is not None and not (bad or bad_carry):
                saved.save(checkpoint, saved.Checkpoint(held, done, records), run)
            seconds["run"] = time.perf_counter() - tic
            if bad or bad_carry:
                at = (records + 1) * every if bad else done
                _, variable, member = bad or bad_carry
                tell("diverged", records * every)
                raise Diverged(at, t0 + at * dt, variable, member, records)
            if not finished:
                break
            tell("running", done)
    tell("done" if finished else "stopped", done)
    return Streamed(held, done, records, finished, seconds["compile"], seconds["run"])


def _compile(step, carry, source, bounds, every):
    """{steps: the compiled rollout of a chunk of so many steps}"""
    compiled = {}
    for start, end in bounds:
        if end - start not in compiled:
            jitted = jax.jit(_saved, static_argnums=(3, 4))
            lowered = jitted.lower(step, carry, _on_device(source(start, end)), end - start, every)
            compiled[end - start] = lowered.compile()
    return compiled


def _run(compiled, xs, step, carry):
    return jax.block_until_ready(compiled(step, carry, xs))


def default_chunk(
    step: Step, carry: Carry, xs: Any = None, *, length: int, save_every: int = 1
) -> int:
    """Steps per chunk: 10⁵, or what 32 MiB hold, and no more than the run takes.

    Args:
        step, carry, xs, length, save_every: as for `stream`.

    >>> import jax.numpy as jnp
    >>> default_chunk(lambda c, x: (c, c), jnp.zeros((64, 64)), length=10**6)
    1024
    """
    every = check.positive("save_every", save_every)
    steps = check.positive("length", length) // every * every
    source = _source(xs, length)
    x = source(0, 1)
    carry = check.concrete_carry(step, carry, x)
    x = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), x)
    y = jax.eval_shape(step, carry, x)[1]
    size = _bytes(y) / every + _bytes(x)
    chunk = min(CHUNK_STEPS, int(CHUNK_BYTES / max(size, 1)), steps)
    return max(chunk // every * every, every, 2)


def _bytes(tree):
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _chunk(chunk, every):
    chunk = check.positive("chunk", chunk)
    if chunk % every:
        raise ValueError(f"chunk: expected a multiple of save_every, {every}, got {chunk}")
    if chunk == 1:
        # XLA compiles a loop of one step without the loop, and may round differently.
        raise ValueError("chunk: expected at least 2 steps, got 1")
    return chunk


def _bounds(begin, steps, chunk, every):
    """(start, stop) of each chunk; a last step alone joins the chunk before it."""
    cuts = [*range(begin, steps, chunk), steps]
    if len(cuts) > 2 and cuts[-1] - cuts[-2] == 1:
        del cuts[-2]
    return list(zip(cuts, cuts[1:], strict=False))


def _source(xs, length):
    if callable(xs) and jax.tree_util.all_leaves([xs]):
        return xs
    check.scan_length(xs, length)
    xs = jax.tree.map(np.asarray, xs)
    return lambda start, stop: jax.tree.map(lambda x: x[start:stop], xs)


def _on_device(xs):
    return jax.tree.map(jnp.asarray, xs)


def _saved(step, carry, xs, steps, every):
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


def _first_bad(tree, unnamed, ensemble):
    """(record, variable, member) of the first value that is not finite, or None."""
    found = []
    for name, y in zip(leaf_names(tree, unnamed), jax.tree.leaves(tree), strict=True):
        if not jnp.issubdtype(y.dtype, jnp.inexact):
            continue
        finite = np.isfinite(y)
        if finite.all():
            continue
        record = int(np.argmin(finite.reshape(len(y), -1).all(axis=1)))
        member = int(np.argwhere(~finite[record])[0][0]) if ensemble and y.ndim > 1 else None
        found.append((record, name, member))
    return min(found, key=lambda bad: bad[0], default=None)
