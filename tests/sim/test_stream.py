"""A streamed run is the whole run: bit for bit, and in bounded memory."""

import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.tree_util import Partial

from sim import rollout
from sim.chunks import bounds_of
from sim.stream import default_chunk, stream
from tests.sim.lorenz_stream import (
    MEMBERS,
    START,
    STARTS,
    STEP,
    N,
    Taken,
    U,
    same,
)


def whole(step, carry, xs, length=None):
    run = jax.jit(lambda step, carry, xs: rollout(step, carry, xs, length=length))
    return jax.tree.map(np.asarray, run(step, carry, xs))


# Chunks that leave a remainder of 0, 1 and more, one group a chunk, all in one chunk.
@pytest.mark.parametrize(
    ("chunk", "every"), [(2, 1), (20, 1), (25, 1), (61, 1), (1000, 1), (4, 4), (30, 3), (20, 20)]
)
def test_chunks_joined_are_the_whole_run(chunk, every):
    carry, ys = whole(STEP, START, U)
    taken = Taken()
    end = stream(STEP, START, U, length=N, chunk=chunk, save_every=every, sink=taken)
    same(taken.ys, jax.tree.map(lambda y: y[every - 1 :: every], ys))
    assert (end.step, end.records, end.finished) == (N // every * every, N // every, True)
    if end.step == N:
        same(end.carry, carry)


@pytest.mark.parametrize("xs", [None, U, lambda start, stop: U[start:stop]])
def test_inputs_by_array_by_function_and_none(xs):
    def step(carry, x):
        return STEP(carry, jnp.asarray(0.0) if x is None else x)

    taken = Taken()
    stream(step, START, xs, length=N, chunk=7, sink=taken)
    same(taken.ys, whole(Partial(step), START, None if xs is None else U, N)[1])


def test_an_ensemble_is_streamed_like_one_run():
    taken = Taken()
    stream(MEMBERS, STARTS, U, length=N, chunk=9, save_every=3, sink=taken, ensemble=True)
    same(taken.ys, jax.tree.map(lambda y: y[2::3], whole(MEMBERS, STARTS, U)[1]))
    assert taken.ys.x.shape == (20, 3)


def test_float32_stays_float32():
    start = START._replace(state=jax.tree.map(jnp.float32, START.state))
    taken = Taken()
    end = stream(STEP, start, U.astype(np.float32), length=N, chunk=20, sink=taken)
    assert taken.ys.x.dtype == end.carry.state.x.dtype == np.float32


@given(st.integers(0, 50), st.integers(1, 400), st.integers(2, 60), st.integers(1, 7))
def test_the_plan_covers_every_step_once_with_three_programs_and_no_lonely_step(a, n, chunk, every):
    steps = n * every
    plan = bounds_of(0, steps, chunk * every, every)
    assert [k for start, stop in plan for k in range(start, stop)] == list(range(steps))
    sizes = [stop - start for start, stop in plan]
    assert len(set(sizes)) <= 3
    assert all(size > 1 for size in sizes) or steps == 1
    assert all(size % every == 0 for size in sizes)
    # Record 0 and the others in whole chunks, and a resumed run in the same ones.
    assert all((stop // every + 1) % chunk == 0 for _, stop in plan[:-1])
    a = min(a, len(plan))
    begin = plan[a][0] if a < len(plan) else steps
    assert bounds_of(begin, steps, chunk * every, every) == plan[a:]


def test_memory_is_that_of_a_few_chunks():
    alive, most = [], 0

    def sink(first, ys):
        nonlocal most
        alive.append(weakref.ref(ys))
        most = max(most, sum(ref() is not None for ref in alive))

    asked = []

    def xs(start, stop):
        asked.append(stop - start)
        return np.zeros(stop - start)

    stream(lambda c, x: (c + x, c), jnp.asarray(0.0), xs, length=999, chunk=10, sink=sink)
    assert len(alive) == 100
    assert most <= 2
    assert max(asked) == 10


def test_the_next_chunk_computes_while_the_sink_works():
    started = threading.Event()
    seen = []

    def slow_start(c, x):
        jax.debug.callback(lambda k: started.set() if k == 6 else None, c)
        return c + 1, c

    def sink(first, ys):
        if first == 0:
            seen.append(started.wait(30))

    stream(slow_start, jnp.asarray(0), length=10, chunk=5, sink=sink)
    assert seen == [True]


def test_the_reports_tell_compiling_and_running_apart():
    told = []
    stream(STEP, START, U, length=N, chunk=31, sink=Taken(), report=told.append)
    assert [status.phase for status in told] == ["compiling", *["running"] * 3, "done"]
    assert [status.step for status in told] == [0, 0, 30, 61, 61]
    assert told[1].compile_seconds > 0
    assert told[1].run_seconds == 0
    assert told[-1].run_seconds > 0


def test_default_chunks_hold_a_bounded_number_of_bytes():
    step = lambda c, x: (c, c)  # noqa: E731
    assert default_chunk(STEP, START, U, length=N) == 62
    assert default_chunk(STEP, START, length=10**7, xs=lambda a, b: U[a:b]) == 100_000
    wide = default_chunk(step, jnp.zeros(2**16), length=10**6)
    assert wide * 2**16 * 8 <= 32 * 2**20
    assert default_chunk(step, jnp.zeros(2**16), length=10**6, save_every=1000) % 1000 == 0
    assert default_chunk(step, jnp.zeros(2**22), length=10**6) == 2


def test_mistakes_are_named():
    def run(**changed):
        stream(**{"step": STEP, "carry": START, "xs": U, "length": N, "sink": Taken(), **changed})

    with pytest.raises(ValueError, match=r"chunk: expected a multiple of save_every, 4, got 10"):
        run(chunk=10, save_every=4)
    with pytest.raises(ValueError, match=r"chunk: expected at least 2 steps, got 1"):
        run(chunk=1)
    with pytest.raises(ValueError, match=r"length: expected 61, the leading axis of xs, got 60"):
        run(length=60)
    with pytest.raises(ValueError, match=r"length: expected at least save_every, 100, got 61"):
        run(save_every=100)
    with pytest.raises(ValueError, match=r"resume: expected a checkpoint"):
        run(resume=True)
    with pytest.raises(ValueError, match=r"step: the carry changes"):
        run(step=lambda c, u: (c._replace(k=c.state.x), u))
