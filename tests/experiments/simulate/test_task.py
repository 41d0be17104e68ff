"""Whole runs: what they leave behind, how they end, and how they go on."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.run import run
from sim.netcdf import read

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; its exit code, run.json's content and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*argv, folder="out"):
        code = run([*argv, f"output.dir={folder}"] if folder else argv)
        out, err = capsys.readouterr()
        told = Path(folder or "", "run.json")
        return code, json.loads(told.read_text()) if told.exists() else None, out + err

    return command


def test_the_default_run_leaves_a_file_and_a_figure_and_says_where(scansim, tmp_path):
    code, _, said = scansim("duration=2", folder=None)
    assert code == 0
    [directory] = (tmp_path / "runs" / "simulate").iterdir()
    assert {p.name for p in directory.iterdir()} == {
        ".hydra",
        "run.json",
        "run.log",
        "trajectory.nc",
        "trajectory.png",
        "checkpoints",
    }
    assert str(directory.relative_to(tmp_path) / "trajectory.nc") in said
    assert str(directory.relative_to(tmp_path) / "trajectory.png") in said
    assert (directory / "trajectory.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads((directory / "run.json").read_text())
    assert told["status"] == "done" and told["precision"] == "float64" and told["steps"] == 200
    assert {"python", "jax", "jaxlib", "numpy", "xarray", "netCDF4", "scansim"} == set(
        told["versions"]
    )
    assert {"commit", "device", "seed", "compile_seconds", "run_seconds", "config_hash"} <= set(
        told
    )
    data = read(directory / "trajectory.nc")
    assert data.sizes["time"] == 201 and float(data.x[0]) == 1.0
    assert (
        data.attrs["config_hash"] == told["config_hash"] and "sigma: 10.0" in data.attrs["config"]
    )


def test_the_run_is_the_rollout(scansim):
    from integrators import heun
    from sim import rollout
    from sim.models import pendulum

    argv = [
        "model=pendulum",
        "integrator=heun",
        "model.params.length=2",
        "model.initial.angle=0.3",
        "dt=0.1",
        "duration=2",
        "substeps=2",
        "output=data",
        "output.save_every=5",
    ]
    assert scansim(*argv)[0] == 0
    model = pendulum.model(pendulum.Params(length=2.0), pendulum.State(0.3, 0.0))
    stepper = heun(model.field, 0.05)
    _, ys = rollout(stepper.step, stepper.init(model.initial), length=40)
    angle = np.concatenate([[0.3], ys.angle])[::10]
    data = read("out/trajectory.nc")
    np.testing.assert_allclose(data.angle, angle, rtol=1e-12)
    np.testing.assert_allclose(data.time, [0.0, 0.5, 1.0, 1.5, 2.0], rtol=1e-12)
    assert not Path("out/trajectory.png").exists()


def test_backwards_undoes_forwards(scansim):
    argv = ["experiment=duffing", "output=data", "input.hold=first_order"]
    assert scansim(*argv, "duration=1", folder="there")[0] == 0
    end = read("there/trajectory.nc").isel(time=-1)
    state = [f"model.initial.{name}={float(end[name])!r}" for name in ("position", "velocity")]
    back = ["dt=-0.02", "duration=1", "t0=1.0"]
    assert scansim(*argv, *state, *back, folder="back")[0] == 0
    data = read("back/trajectory.nc")
    np.testing.assert_allclose(data.position[-1], 0.5, atol=1e-6)
    np.testing.assert_allclose(data.time[-1], 0.0, atol=1e-12)


def test_float32(scansim):
    code, told, _ = scansim(
        "runtime=float32", "duration=1", "experiment=identification", "output=data"
    )
    data = read("out/trajectory.nc")
    assert code == 0 and told["precision"] == "float32"
    assert {data[name].dtype for name in ("x", "y")} == {np.dtype("float32")}
    assert data.time.dtype == "float64"


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ("lorenz", {"x", "y", "z"}),
        ("pendulum_driven", {"angle", "angular_velocity", "torque"}),
        ("kepler", {"position", "velocity"}),
        ("chain", {"position", "velocity"}),
        ("duffing", {"position", "velocity", "force"}),
        ("identification", {"x", "y", "u"}),
    ],
)
def test_every_recipe_runs(scansim, recipe, names):
    code, told, _ = scansim(f"experiment={recipe}", "duration=3")
    assert code == 0 and told["status"] == "done"
    data = read("out/trajectory.nc")
    assert set(data.data_vars) == names
    assert all(np.isfinite(data[name]).all() for name in names)
    assert Path("out/trajectory.png").stat().st_size > 10_000


def test_a_piece_chosen_beside_a_recipe_comes_without_the_recipe_s_settings(scansim):
    argv = ["experiment=duffing", "duration=1", "output=data"]
    code, told, said = scansim(*argv, "input=noise", "input.cutoff=2", "model=pendulum")
    assert code == 0, said
    assert set(read("out/trajectory.nc").data_vars) == {"angle", "angular_velocity", "torque"}
    assert told["title"] == "Pendulum"
    assert (
        scansim(
            "experiment=kepler", "model=lorenz", "integrator=rk4", "duration=1", folder="other"
        )[0]
        == 0
    )
    assert scansim(*argv, "input=sine", folder="same")[0] == 0  # the recipe's own choice
    assert float(abs(read("same/trajectory.nc").force).max()) == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("signal", ["step", "ramp", "chirp", "multisine", "prbs", "noise"])
def test_every_input_drives_and_is_kept(scansim, signal):
    argv = [
        "experiment=duffing",
        "dt=0.05",
        "duration=20",
        f"input={signal}",
        "output=data",
        "seed=3",
    ]
    assert scansim(*argv)[0] == 0
    force = read("out/trajectory.nc").force
    assert force.units == "N" and float(abs(force).max()) > 0.1


def test_cascaded_tanks_from_the_recorded_voltage(scansim, shared):
    path = shared / "data" / "cascaded_tanks_train.csv"
    code, told, said = scansim("experiment=cascaded_tanks", f"input.path={path}")
    assert code == 0
    data = read("out/trajectory.nc")
    time, u, y = np.loadtxt(path, delimiter=",", skiprows=1).T
    np.testing.assert_array_equal(data.time, time)
    np.testing.assert_array_equal(data.pump_voltage, u)
    np.testing.assert_array_equal(data.reading_measured, y)
    rmse = float(np.sqrt(np.mean((data.reading - y) ** 2)))
    assert rmse < 0.102
    assert told["metrics"]["rmse"]["reading"] == pytest.approx(rmse, rel=1e-12)
    assert f"{rmse:.4g} V" in said
    [row] = csv.DictReader(Path("out/metrics.csv").read_text().splitlines())
    assert row["quantity"] == "reading" and row["units"] == "V"
    assert float(row["value"]) == pytest.approx(rmse, rel=1e-12)


def test_a_netcdf_file_of_one_run_drives_another(scansim):
    one = ["experiment=duffing", "duration=4", "t0=2.5", "output=data"]
    assert scansim(*one, folder="first")[0] == 0
    two = [
        "model=duffing",
        "input=file",
        "dt=null",
        "duration=null",
        "input.path=first/trajectory.nc",
        "input.columns=[force]",
        "input.reference.position=position",
        "input.hold=cubic",
        "output=data",
    ]
    code, told, _ = scansim(*two, folder="second")
    assert code == 0
    assert told["metrics"]["rmse"]["position"] < 1e-6
    np.testing.assert_array_equal(
        read("second/trajectory.nc").time, read("first/trajectory.nc").time
    )


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


def test_a_model_of_ones_own(scansim, tmp_path):
    (tmp_path / "ownmodels").mkdir()
    (tmp_path / "ownmodels" / "rocket.py").write_text("""
from typing import NamedTuple
from jax.tree_util import Partial
from sim.models import Model, Quantity

class State(NamedTuple):
    height: float
    speed: float

def rocket(thrust, t, y, u):
    return State(y.speed, thrust - 9.81 + 0.0 * y.height)

def model(thrust: float = 15.0, initial: State = State(0, 0)):
    return Model("rocket", Partial(rocket, thrust), initial, {"height": Quantity("m", "height")})
""")
    own = [
        "allow=[ownmodels]",
        "model._target_=ownmodels.rocket.model",
        "duration=2",
        "output=data",
    ]
    assert scansim(*own, "model.thrust=19.81")[0] == 0
    height = read("out/trajectory.nc").height
    assert height.dtype == np.float64  # though the initial state is of whole numbers
    np.testing.assert_allclose(height[-1], 20.0, rtol=1e-12)
    code, _, said = scansim(*own, "model.trust=1", folder="other")
    assert code == 2 and "did you mean 'thrust'?" in said


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
