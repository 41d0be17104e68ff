"""A streamed run is the whole run: bit for bit, in bounded memory, resumable, and it says
where it left the finite numbers."""

import threading
import weakref
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.tree_util import Partial

from sim import rollout
from sim.chunks import bounds_of
from sim.stream import Diverged, default_chunk, stream

DT = 0.01
N = 61


class Lorenz(NamedTuple):
    x: jax.Array
    y: jax.Array
    z: jax.Array


class Carry(NamedTuple):
    k: jax.Array
    state: Lorenz


def lorenz_rk4(params, carry, u):
    """Driven Lorenz, classic RK4: nonlinear, so that any rounding shows soon."""
    sigma, rho, beta = params
    h = DT

    def f(t, s):
        x, y, z = s
        return Lorenz(sigma * (y - x) + u * jnp.cos(t), x * (rho - z) - y, x * y - beta * z)

    def add(s, h, ds):
        return jax.tree.map(lambda a, b: a + h * b, s, ds)

    k, s = carry
    t = k.astype(s.x.dtype) * h
    k1 = f(t, s)
    k2 = f(t + h / 2, add(s, h / 2, k1))
    k3 = f(t + h / 2, add(s, h / 2, k2))
    k4 = f(t + h, add(s, h, k3))
    slope = jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4)
    s = add(s, h, slope)
    return Carry(k + 1, s), s


STEP = Partial(lorenz_rk4, (10.0, 28.0, 8 / 3))
MEMBERS = Partial(jax.vmap(STEP, (0, None)))
START = Carry(jnp.asarray(0), Lorenz(jnp.asarray(1.0), jnp.asarray(2.0), jnp.asarray(3.0)))
STARTS = Carry(jnp.zeros(3, int), Lorenz(*jnp.asarray([[1.0, 2, 3], [0, 1, 5], [-2, 0, 9]])))
U = np.random.default_rng(0).normal(size=N)


def whole(step, carry, xs, length=None):
    run = jax.jit(lambda step, carry, xs: rollout(step, carry, xs, length=length))
    return jax.tree.map(np.asarray, run(step, carry, xs))


class Taken:
    """A sink that keeps everything and checks that records come without a gap."""

    def __init__(self):
        self.parts, self.count = [], 0

    def __call__(self, first, ys):
        assert first == self.count
        assert all(isinstance(y, np.ndarray) for y in jax.tree.leaves(ys))
        self.parts.append(ys)
        self.count += len(jax.tree.leaves(ys)[0])

    @property
    def ys(self):
        return jax.tree.map(lambda *parts: np.concatenate(parts), *self.parts)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


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


@pytest.mark.parametrize("every", [1, 3])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, every):
    expected, kept = Taken(), Taken()
    full = stream(STEP, START, U, length=N, chunk=12, save_every=every, sink=expected)
    settings = {
        "length": N,
        "chunk": 12,
        "save_every": every,
        "sink": kept,
        "checkpoint": tmp_path / "c.npz",
        "identity": "this run",
    }
    stop = iter([False, True]).__next__
    end = stream(STEP, START, U, stop=stop, **settings)
    assert (end.step, end.records, end.finished) == (24 - every, 24 // every - 1, False)
    end = stream(STEP, START, U, resume=True, **settings)
    assert (end.step, end.records, end.finished) == (full.step, full.records, True)
    same(kept.ys, expected.ys)
    same(end.carry, full.carry)
    assert stream(STEP, START, U, resume=True, **settings).records == full.records
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]


def test_an_interrupt_in_the_sink_loses_only_that_chunk(tmp_path):
    expected, first, second = Taken(), Taken(), Taken()
    settings = {"length": N, "chunk": 12, "checkpoint": tmp_path / "c.npz"}

    def interrupted(record, ys):
        if record == 23:
            raise KeyboardInterrupt
        first(record, ys)

    stream(STEP, START, U, length=N, chunk=12, sink=expected)
    with pytest.raises(KeyboardInterrupt):
        stream(STEP, START, U, sink=interrupted, **settings)
    second.count = 23
    stream(STEP, START, U, sink=second, resume=True, **settings)
    same(jax.tree.map(lambda a, b: np.concatenate([a, b]), first.ys, second.ys), expected.ys)


def test_a_run_killed_in_its_first_chunk_is_resumable(tmp_path):
    def killed(first, ys):
        raise KeyboardInterrupt

    settings = {"length": N, "chunk": 12, "checkpoint": tmp_path / "c.npz"}
    with pytest.raises(KeyboardInterrupt):
        stream(STEP, START, U, sink=killed, **settings)
    taken = Taken()
    assert stream(STEP, START, U, sink=taken, resume=True, **settings).step == N


def test_a_checkpoint_of_another_run_is_refused_by_name(tmp_path):
    path = tmp_path / "c.npz"
    settings = {"length": N, "chunk": 12, "sink": Taken(), "checkpoint": path}
    stream(STEP, START, U, identity="a1", **settings)

    def resume(carry=START, step=STEP, **changed):
        settings.update(identity="a1", resume=True)
        stream(step, carry, U, **{**settings, **changed})

    with pytest.raises(ValueError, match="is of another run: expected identity b2, got a1"):
        resume(identity="b2")
    with pytest.raises(ValueError, match="expected save_every 3, got 1"):
        resume(save_every=3)
    with pytest.raises(ValueError, match=r"expected carry k int64\[3\], got int64\[\]"):
        resume(STARTS, MEMBERS)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz: no checkpoint is there"):
        resume(checkpoint=tmp_path / "nowhere.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OSError, match=r"c\.npz: cannot read it as a checkpoint"):
        resume()
    with pytest.raises(OSError, match=r"nowhere/c\.npz: cannot write the checkpoint"):
        resume(resume=False, checkpoint=tmp_path / "nowhere" / "c.npz")


def blow_up(carry, u):
    """x̄ = x + u: not finite from the step on whose input is not."""
    return carry + u, {"level": carry + u, "count": jnp.ones_like(carry, int)}


@pytest.mark.parametrize(("every", "records"), [(1, 16), (5, 3)])
def test_divergence_is_named_and_what_came_before_is_kept(tmp_path, every, records):
    u = np.zeros((40, 3))
    u[16, 2] = np.inf
    taken, phases = Taken(), []
    with pytest.raises(Diverged) as caught:
        stream(
            blow_up,
            jnp.zeros(3),
            u,
            length=40,
            chunk=10,
            save_every=every,
            sink=taken,
            t0=1.0,
            dt=0.5,
            ensemble=True,
            checkpoint=tmp_path / "c.npz",
            report=lambda status: phases.append(status.phase),
        )
    error = caught.value
    step = 17 if every == 1 else 20
    assert (error.step, error.time, error.variable) == (step, 1.0 + 0.5 * step, "level")
    assert (error.member, error.records, taken.count) == (2, records, records)
    assert str(error) == (
        f"diverged: level of member 2 is not finite at step {step} "
        f"(t = {1.0 + 0.5 * step:g} s); {records} finite records are kept"
    )
    assert phases[-1] == "diverged"
    assert np.isfinite(taken.ys["level"]).all()
    with np.load(tmp_path / "c.npz") as checkpoint:
        assert checkpoint["step"] == (9 if every == 1 else 15)  # the last chunk that stayed finite


def test_a_carry_that_diverges_unseen_is_named_too():
    step = lambda c, x: ({"hidden": c["hidden"] * 1e200}, jnp.asarray(0.0))  # noqa: E731
    taken = Taken()
    with pytest.raises(Diverged, match=r"hidden is not finite at step 3 .* 3 finite records"):
        stream(step, {"hidden": jnp.asarray(1.0)}, length=40, chunk=4, sink=taken)
    assert taken.count == 3


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
