"""How runs end, early or with an error, and how they go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sim.netcdf import read

ROOT = Path(__file__).resolve().parents[3]


def test_a_diverging_run_keeps_what_was_finite(scansim):
    code, told, said = scansim("dt=0.2", "integrator=euler", "duration=100")
    assert code == 3 and told["status"] == "diverged"
    assert "diverged: " in said and told["diverged"]["variable"] in "xyz"
    data = read("out/trajectory.nc")
    assert data.sizes["time"] == told["diverged"]["step"] < 500
    assert all(np.isfinite(data[name]).all() for name in "xyz")
    assert Path("out/trajectory.png").exists()


def test_a_run_directory_is_claimed_once(scansim):
    assert scansim("duration=1", "output=data")[0] == 0
    before = Path("out/run.json").read_bytes()
    code, _, said = scansim("duration=1", "output=data")
    assert code == 4 and "never overwritten" in said
    assert Path("out/run.json").read_bytes() == before


def test_a_sweep_is_every_combination(scansim, tmp_path):
    code, _, said = scansim(
        "-m", "dt=0.01,0.02", "integrator=rk4,heun", "duration=1", "output=data", folder=None
    )
    assert code == 0
    [sweep] = (tmp_path / "runs" / "simulate").iterdir()
    told = [json.loads((sweep / f"{i}" / "run.json").read_text()) for i in range(4)]
    assert sorted(t["steps"] for t in told) == [50, 50, 100, 100]
    assert len({t["config_hash"] for t in told}) == 4
    assert "#3  dt=0.02 integrator=heun" in said


LONG = [
    "experiment=duffing",
    "duration=40",
    "output.chunk=100",
    "output.save_every=2",
    "output=data",
]


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [(signal.SIGTERM, 75, "stopped"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_stopped_run_goes_on_bit_for_bit(scansim, monkeypatch, number, code, status):
    assert scansim(*LONG, folder="whole")[0] == 0

    import sim.progress

    @sim.progress.contextlib.contextmanager
    def pulls_the_plug(**_):
        yield lambda at: os.kill(os.getpid(), number) if at.step == 698 else None

    with monkeypatch.context() as patch:
        patch.setattr(sim.progress, "progress", pulls_the_plug)
        got, told, said = scansim(*LONG)
    assert (got, told["status"]) == (code, status)
    assert 700 <= told["steps"] < 2000
    assert "scansim resume=out" in said

    assert scansim("resume=out", folder=None)[0] == 0
    assert json.loads(Path("out/run.json").read_text())["status"] == "done"
    whole, resumed = read("whole/trajectory.nc"), read("out/trajectory.nc")
    assert set(whole.variables) == set(resumed.variables)
    for name in whole.variables:
        np.testing.assert_array_equal(whole[name].values, resumed[name].values)
    got, _, said = scansim("resume=out", folder=None)
    assert got == 2 and "which is done" in said


def test_sigterm_from_outside(tmp_path):
    """The real signal to the real process."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "experiments.run",
            "duration=1e7",
            "output=data",
            "output.dir=out",
            "output.save_every=1000",
            "output.chunk=100000",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "out" / "checkpoints" / "latest.npz").exists():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 75, err
    assert "Traceback" not in err and "scansim resume=out" in err
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "stopped"


def test_an_error_inside_a_run_is_logged(scansim, monkeypatch):
    import sim.netcdf

    monkeypatch.setattr(
        sim.netcdf, "_append", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    code, told, said = scansim("duration=1", "output=data")
    assert code == 4 and told["status"] == "failed" and "disk full" in said
    assert "Traceback" not in said and "Traceback" in Path("out/run.log").read_text()


def test_on_a_full_disk_the_first_error_is_told(scansim, monkeypatch):
    import sim.netcdf
    from experiments.runs import directory

    def full(*_):
        monkeypatch.setattr(directory, "write_json", full)
        raise OSError("disk full" if _[0] != Path("out/run.json") else "no room for run.json")

    monkeypatch.setattr(sim.netcdf, "_append", full)
    code, _, said = scansim("duration=1", "output=data")
    assert code == 4 and "disk full" in said and "run.json" not in said
