"""Whole runs of the task `simulate`: what they write, and which pieces they take."""

import json
from pathlib import Path

import numpy as np
import pytest

from sim.netcdf import read


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
