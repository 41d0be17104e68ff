"""Long runs: a host loop over compiled chunks; the sink takes one while the next computes."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim import check, chunks
from sim import checkpoint as saved
from sim.chunks import default_chunk
from sim.diverged import Diverged, first_bad
from sim.step import Carry, Step, as_pytree

__all__ = ["Diverged", "Status", "Streamed", "default_chunk", "stream"]


class Status(NamedTuple):
    """The progress of a stream, reported before, between and after its chunks.

    Attributes:
        phase: "compiling", "running", then "done", "stopped" or "diverged".
        step: steps done and handed to the sink.
        length: steps the run will take.
        resumed: the step this call began at; 0 unless it resumed a checkpoint.
        compile_seconds, run_seconds: wall time of each.
    """

    phase: str
    step: int
    length: int
    resumed: int
    compile_seconds: float
    run_seconds: float


class Streamed(NamedTuple):
    """The result of a stream: the last carry (NumPy leaves) and the work done.

    Attributes:
        carry: the carry after ``step`` steps.
        step, records: steps run and records saved, those before a resume included.
        finished: False where ``stop`` ended it early.
        compile_seconds, run_seconds: wall time of this call for each.
    """

    carry: Any
    step: int
    records: int
    finished: bool
    compile_seconds: float
    run_seconds: float


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
            `default_chunk`. The first chunk is one record shorter, so that with the
            initial state before them the records come in whole chunks.
        save_every: n; the sink receives the end of every n-th step only.
        t0, dt: time of the initial state and length of a step, in s, for the reports.
        ensemble: the leading axis of every carry leaf and of every y is the member.
        checkpoint: a ``.npz`` file, written at the start and replaced after each chunk
            that the sink has taken.
        resume: go on from ``checkpoint``; ``carry`` then gives the structure only.
        identity: a name for the run (the hash of its configuration); a checkpoint
            with another one is refused.
        stop: called once in each chunk; True ends the run after that chunk, resumable.
        report: receives a `Status` before compiling, before running, after each chunk
            and at the end.

    Returns:
        `Streamed`.

    Raises:
        Diverged: a saved value or the carry is not finite; the sink has received all
            finite records before it.
        ValueError: an argument is wrong, or the checkpoint is of another run.
        OSError: the checkpoint cannot be read or written.

    Source: the loop over a compiled scan is the outer level of checkpointing in
    A. Griewank and A. Walther, "Algorithm 799: revolve", ACM TOMS 26 (2000).

    >>> import jax.numpy as jnp
    >>> taken = []
    >>> end = stream(lambda c, x: (c + 1, c + 1), jnp.asarray(0), length=9, chunk=4,
    ...              save_every=2, sink=lambda first, ys: taken.append((first, ys.tolist())))
    >>> taken, end.step
    ([(0, [2]), (1, [4, 6]), (3, [8])], 8)
    """
    every = check.positive("save_every", save_every)
    steps = check.positive("length", length) // every * every
    if not steps:
        raise ValueError(f"length: expected at least save_every, {every}, got {length}")
    source = chunks.source_of(xs, length)
    carry = check.concrete_carry(step, carry, source(0, 1))
    if chunk is None:
        chunk = default_chunk(step, carry, xs, length=length, save_every=every)
    chunk = chunks.check_chunk(chunk, every)
    step = as_pytree(step)
    run = {"identity": identity, "save_every": every, "t0": t0, "dt": dt}
    begin, records = 0, 0
    if resume:
        if checkpoint is None:
            raise ValueError("resume: expected a checkpoint to go on from, got checkpoint=None")
        carry, begin, records = saved.load(checkpoint, carry, run)
        if begin > steps:
            raise ValueError(
                f"length: expected at least {begin}, where the checkpoint is, got {length}"
            )
        carry = jax.tree.map(jnp.asarray, carry)
    seconds = {"compile": 0.0, "run": 0.0}

    def tell(phase, done):
        if report is not None:
            report(Status(phase, done, steps, begin, seconds["compile"], seconds["run"]))

    def load_inputs(bounds):
        return chunks.on_device(source(*bounds))

    def dispatch(bounds, carry, xs):
        # XLA's CPU client computes on the thread that calls it: a thread of its own.
        program = compiled[bounds[1] - bounds[0]]
        return thread.submit(lambda: jax.block_until_ready(program(step, carry, xs)))

    host_carry = jax.tree.map(np.asarray, carry)
    if checkpoint is not None and not resume:
        saved.save(checkpoint, saved.Checkpoint(host_carry, 0, 0), run)
    tell("compiling", begin)
    bounds = chunks.bounds_of(begin, steps, chunk, every)
    tic = time.perf_counter()
    compiled = chunks.compile_chunks(step, carry, source, bounds, every)
    seconds["compile"] = time.perf_counter() - tic
    tell("running", begin)
    tic = time.perf_counter()
    done, finished = begin, True
    with ThreadPoolExecutor(1, "scansim-chunk") as thread:
        pending = dispatch(bounds[0], carry, load_inputs(bounds[0])) if bounds else None
        for (start, done), ahead in zip_longest(bounds, bounds[1:]):
            xs = load_inputs(ahead) if ahead else None  # made while the chunk before it computes
            carry, ys = pending.result()
            host_carry = jax.tree.map(np.asarray, carry)
            bad_carry = first_bad(jax.tree.map(lambda x: x[None], host_carry), "carry", ensemble)
            finished = not ahead or stop is None or not stop()
            if ahead and finished and not bad_carry:
                pending = dispatch(ahead, carry, xs)
            ys = jax.tree.map(np.asarray, ys)
            bad = first_bad(ys, "y", ensemble)
            count = bad[0] if bad else (done - start) // every
            if count:
                sink(records, _first_records(ys, count) if bad else ys)
            records += count
            if checkpoint is not None and not (bad or bad_carry):
                saved.save(checkpoint, saved.Checkpoint(host_carry, done, records), run)
            seconds["run"] = time.perf_counter() - tic
            if bad or bad_carry:
                step_number = (records + 1) * every if bad else done
                _, variable, member = bad or bad_carry
                tell("diverged", records * every)
                raise Diverged(step_number, t0 + step_number * dt, variable, member, records)
            if not finished:
                break
            tell("running", done)
    tell("done" if finished else "stopped", done)
    return Streamed(host_carry, done, records, finished, seconds["compile"], seconds["run"])


def _first_records(ys, count):
    return jax.tree.map(lambda y: y[:count], ys)
