"""Inputs in pieces: the same as whole, and never whole in memory."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from experiments.cli.config import Config, Output, Runtime
from experiments.cli.tasks import NoKeys
from experiments.run import run
from experiments.simulate import blocks, generated_input
from experiments.simulate import inputs as model_inputs
from sim import inputs, signals
from sim.models import duffing
from sim.netcdf import read

N = 1000
SIGNALS = {
    "step": {"start": 7.0},
    "ramp": {"start": 7.0},
    "sine": {"frequency": 0.4, "phase": 0.3},
    "chirp": {"f0": 0.1, "t1": 50.0, "f1": 2.0},
    "multisine": {"harmonics": [1, 2, 7]},  # its period is the whole record
    "prbs": {"clock": 0.1},  # its register reaches to the end of the whole record
}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 64)


def config(name, **settings):
    source = {"_target_": f"sim.signals.{name}", **settings}
    return Config("simulate", {"input": source}, NoKeys(), Output(), Runtime(), seed=3)


@pytest.mark.parametrize("dt", [0.05, -0.05])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_made_in_blocks_is_the_whole_one(small_blocks, name, dt):
    t0 = 2.0 if dt > 0 else 60.0
    t = t0 + dt * np.arange(N + 1)
    seed = {"seed": 3} if name == "prbs" else {}
    forwards = slice(None, None, 1 if dt > 0 else -1)
    whole = np.asarray(getattr(signals, name)(t[forwards], **SIGNALS[name], **seed))[forwards]
    run_config = config(name, **SIGNALS[name])
    source = model_inputs.read_source(run_config)
    u = model_inputs.sampled_input(run_config, duffing.model(), source, t0, dt, N)
    np.testing.assert_array_equal(u(range(N + 1)), whole)
    np.testing.assert_array_equal(u(range(0, N + 1, 100)), whole[::100])


def test_a_signal_of_ones_own_is_made_in_blocks_where_its_times_say_so(
    small_blocks, tmp_path, monkeypatch
):
    (tmp_path / "waves.py").write_text("""
import numpy as np
from sim.times import Times

counts = []

def wave(t: Times, frequency: float = 1.0):
    counts.append(len(t))
    return np.sin(frequency * t)

def whole(t, frequency: float = 1.0):
    return wave(t, frequency)
""")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    samples, counts = {}, {}
    for name in ("wave", "whole"):
        group = {"_target_": f"waves.{name}", "frequency": 2.0}
        run_config = replace(config("step"), groups={"input": group}, allow=("waves",))
        source = model_inputs.read_source(run_config)
        u = model_inputs.sampled_input(run_config, duffing.model(), source, 0.0, 0.05, N)
        samples[name] = u(range(N + 1))
        counts[name] = source.generator.__globals__["counts"][:]
        source.generator.__globals__["counts"].clear()
    np.testing.assert_array_equal(samples["wave"], samples["whole"])
    assert max(counts["wave"]) == 65 and counts["whole"] == [N + 1]


def test_an_input_is_a_function_of_time_or_a_recorded_input():
    source = {"_target_": "experiments.records.observations.series", "values": [1, 2]}
    run_config = replace(config("step"), groups={"input": source})
    with pytest.raises(ValueError, match=r"input._target_: expected a function of the times t, or"):
        model_inputs.read_source(run_config)


@pytest.mark.parametrize("hold", ["zero_order", "first_order", "cubic", "band_limited"])
def test_a_hold_made_in_blocks_is_the_whole_one(small_blocks, hold):
    u = np.random.default_rng(0).normal(size=N + 1)
    xs = model_inputs.held_input(config("sine", hold=hold), blocks.rows_in_memory(u), 0.1, N)
    make = {"zero_order": inputs.zero_order_hold, "first_order": inputs.first_order_hold}
    whole = make.get(hold, getattr(inputs, hold, None))(0.1 * np.arange(N + 1), u)
    for start, stop in ((0, N), (0, 1), (63, 65), (500, 700), (N - 1, N)):
        piece = xs(start, stop)
        assert piece.nodes == whole.nodes
        for got, expected in zip(piece.values, whole.values, strict=True):
            np.testing.assert_allclose(got, expected[start:stop], rtol=0, atol=1e-15)


@pytest.mark.parametrize("record", ["input=chirp", "input=prbs input.hold=cubic"])
def test_the_file_is_the_same_in_chunks_of_any_length(small_blocks, tmp_path, monkeypatch, record):
    monkeypatch.chdir(tmp_path)
    argv = [
        "model=linear",
        *record.split(),
        "dt=0.1",
        "duration=50",
        "output=data",
        "output.save_every=2",
    ]
    for chunk in (30, 200):
        assert run([*argv, f"output.chunk={chunk}", f"output.dir=by{chunk}"]) == 0
    one, other = read("by30/trajectory.nc"), read("by200/trajectory.nc")
    assert {"x", "y", "u"} < set(one.variables)
    for name in one.variables:
        np.testing.assert_array_equal(one[name].values, other[name].values)


def test_a_long_input_is_never_held_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    longest = []

    def noted(function, size):
        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            longest.append(size(result))
            return result

        return call

    def rows(tree):
        return max(np.shape(leaf)[0] for leaf in jax.tree.leaves(tree))

    monkeypatch.setattr(generated_input, "instantiate", noted(generated_input.instantiate, rows))
    monkeypatch.setattr(inputs, "cubic", noted(inputs.cubic, rows))
    monkeypatch.setattr(
        model_inputs, "rows_by_block", lambda *a, **k: noted(blocks.rows_by_block(*a, **k), rows)
    )
    monkeypatch.setattr(
        generated_input, "rows_by_block", lambda *a, **k: noted(blocks.rows_by_block(*a, **k), rows)
    )
    argv = ["experiment=duffing", "duration=8000", "output=data", "output.chunk=20000"]
    assert run([*argv, "output.save_every=100", "output.dir=out"]) == 0
    steps = 400_000
    assert read("out/trajectory.nc").sizes["time"] == steps // 100 + 1
    assert sum(longest) > steps  # all of it was seen here
    assert max(longest) <= blocks.BLOCK_SIZE + 2 * model_inputs.HOLD_REACH["cubic"] + 1 < steps / 6
