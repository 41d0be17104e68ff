"""Mistakes, estimates that are not finite, and files that cannot be written."""

from pathlib import Path

import numpy as np
import pytest

from sim.netcdf import read
from tests.experiments.estimate.commands import RECORD


@pytest.mark.parametrize("growth", [3.0, 1e60])
def test_estimates_that_leave_the_finite_numbers_are_kept_as_far_as_they_go(
    scansim, tmp_path, growth
):
    (tmp_path / "ownfilters").mkdir()
    (tmp_path / "ownfilters" / "bad.py").write_text("""
import jax.numpy as jnp
from experiments.estimate.estimators import Estimator
from filters.extended import extended
from filters.gaussian import Gaussian
from filters.nonlinear import Nonlinear
from sim.models import Quantity

def estimator(growth: float = 1.0):
    model = Nonlinear(f=lambda x, u, t: growth * x, h=lambda x, u, t: jnp.exp(x), Q=[1.0], R=[1.0])
    one = {"x": Quantity("m", "x")}
    return Estimator(extended(model), Gaussian([1.0], [[1.0]]), one, {"y": Quantity("m", "y")})
""")
    own = [
        "allow=[ownfilters]",
        "task=estimate",
        "estimator._target_=ownfilters.bad.estimator",
        f"estimator.growth={growth}",
        "input=nile",
        "dt=null",
        "duration=null",
    ]
    code, told, said = scansim(*own)
    assert code == 3 and told["status"] == "diverged" and "is not finite at step" in said
    kept = told["diverged"]["step"] - 1
    assert Path("out/trajectory.png").exists() == Path("out/trajectory.nc").exists() == (kept > 0)
    if kept:
        data = read("out/trajectory.nc")
        assert data.sizes["time"] == kept and np.isfinite(data.x_filtered).all()
        assert "x_smoothed" not in data
    assert (kept > 0) == (growth == 3.0)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["estimator=lineer"], "unknown option 'lineer'; did you mean 'linear'"),
        (["update=studnt_t"], "did you mean 'student_t'"),
        (["update=huber", "update.treshold=3"], "did you mean 'update.threshold'"),
        (["update=gate", "update.probability=2"], "update.probability: expected a number between"),
        (["input.columns=[yy]"], "no column 'yy'"),
        (["estimator=continuous", "estimator.observed=[angel]"], "did you mean 'angle'"),
        (["estimator.A=[[0,1,2],[1,0,0]]"], "estimator.A: expected a square matrix"),
        (["estimator=local_level"], "estimator=linear and estimator=continuous take any times"),
        (["dt=0.1"], "dt: expected null, because the times"),
        (["duration=1000"], "duration: expected at most 1"),
        (["forecast=-1"], "forecast: expected a whole number of at least 0"),
    ],
)
def test_a_mistake_is_one_line(scansim, swing, argv, message):
    code, told, said = scansim(*RECORD, "estimator=linear", *argv)
    assert code in (2, 4) and told is None and message in said and said.count("\n") == 1, said


@pytest.mark.parametrize("late", ["0.25", "0.5", "nan"])
def test_time_that_does_not_increase_is_one_line(scansim, tmp_path, late):
    (tmp_path / "r.csv").write_text(f"time,y\n0,1\n0.5,2\n{late},3\n")
    code, told, said = scansim(*RECORD, "estimator=linear")
    assert code == 4 and told is None and said.count("\n") == 1
    assert f"expected finite times that increase, got {late} after 0.5 in sample 2" in said


def test_a_write_that_fails_leaves_no_part_of_a_file(scansim, tmp_path, monkeypatch):
    from sim import files

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    code, _, said = scansim("experiment=nile", "output.dir=kept", "output=data")
    assert code == 4 or "no space left" in said
    assert not list(tmp_path.glob("**/*.nc")) and not list(tmp_path.glob("**/*.part"))
