"""A stopped, interrupted or diverged stream: what it keeps, and how it resumes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.stream import Diverged, stream
from tests.sim.lorenz_stream import MEMBERS, START, STARTS, STEP, N, Taken, U, same


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
