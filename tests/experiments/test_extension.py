"""What a newcomer adds is one folder, file, class or function, named on the command line."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.run import run
from sim.netcdf import read

WORKSHOP = Path(__file__).parent / "workshop"


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command where the package ``workshop`` lies; returns the directory of the run."""
    shutil.copytree(WORKSHOP, tmp_path / "workshop", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def command(*argv):
        code = run([*argv, "allow=[workshop]", "output.dir=out", "output=data"])
        assert code == 0, capsys.readouterr().err
        return tmp_path / "out"

    yield command
    for name in [name for name in sys.modules if name.split(".")[0] == "workshop"]:
        del sys.modules[name]


def record(folder, count=60):
    """A CSV of a first-order system: time, its input u and its output y."""
    u = np.random.default_rng(0).normal(size=count)
    y = np.zeros(count)
    for k in range(count):
        y[k] = 0.8 * y[k - 1] + 0.5 * u[k]
    table = np.column_stack([0.1 * np.arange(count), u, y])
    path = folder / "record.csv"
    np.savetxt(path, table, delimiter=",", header="time,u,y", comments="")
    return path, y


def test_a_task_an_objective_and_a_solver(scansim):
    out = scansim(
        "task=workshop.decay",
        "rate=0.3",
        "objective._target_=workshop.objective.LogErrors",
        "solver._target_=workshop.solver.FullSteps",
        "solver.share=0.9",
    )
    assert json.loads((out / "rate.json").read_text()) == pytest.approx(0.3, abs=1e-6)
    known = json.loads((out / "run.json").read_text())
    assert (known["task"], known["status"]) == ("workshop.decay", "done")
    assert known["metrics"]["estimate"]["rate"] == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("task=workshop.decay", "task: 'workshop.decay' is refused: it lies outside"),
        ("task=workshop.decai allow=[workshop]", "task: no module 'workshop.decai'; did you mean"),
        ("task=workshop.cells allow=[workshop]", "task: expected a package whose __init__.py"),
        ("task=workshop.decay allow=[workshop] rat=1", "rat: unknown key; did you mean 'rate'?"),
        ("task=workshop.decay allow=[workshop] rate=a", "rate: expected a finite number, got 'a'"),
        ("task=workshop.decay allow=[workshop]", "objective: expected one for task=workshop.decay"),
        ("task=workshop.decay allow=[workshop] model=lorenz", "model: expected none for task=work"),
        ("task=workshop.decay allow=[workshop] gap=hold", "gap: expected raise for task=workshop"),
    ],
)
def test_a_mistake_about_a_task_is_named(scansim, capsys, argv, message):
    assert run(argv.split()) == 2
    assert message in capsys.readouterr().err


def test_a_package_that_cannot_be_imported_is_named(scansim, tmp_path, capsys):
    (tmp_path / "workshop" / "__init__.py").write_text("1 / 0\n")
    assert run(["task=workshop.decay", "allow=[workshop]"]) == 1
    assert capsys.readouterr().err.startswith("scansim: ZeroDivisionError: division by zero")


def test_a_signal(scansim):
    out = scansim(
        "model=pendulum",
        "input._target_=workshop.signals.sawtooth",
        "input.period=2",
        "dt=0.01",
        "duration=3",
    )
    torque = read(out / "trajectory.nc")["torque"].values
    np.testing.assert_allclose(torque, (0.01 * np.arange(301) / 2) % 1.0, atol=1e-12)


def test_a_network(scansim, tmp_path):
    path, _ = record(tmp_path)
    out = scansim(
        "task=learn",
        "network._target_=workshop.cells.leaky",
        "learn=least_squares",
        f"data.path={path}",
        "data.input=u",
        "data.output=y",
    )
    known = json.loads((out / "run.json").read_text())
    assert known["metrics"]["rmse training"]["y"] < 1e-6


def test_an_estimator(scansim, tmp_path):
    path, y = record(tmp_path)
    out = scansim(
        "task=estimate",
        "estimator._target_=workshop.estimators.drifting_level",
        "estimator.drift=0.1",
        "input=observations",
        f"input.path={path}",
        "input.columns=[y]",
        "dt=null",
        "duration=null",
    )
    estimate = read(out / "trajectory.nc")
    assert estimate.sizes["time"] == len(y)
    assert np.isfinite(estimate["level_filtered"]).all()


def test_a_filter(scansim, tmp_path):
    path, y = record(tmp_path)
    out = scansim(
        "task=filter",
        "design._target_=workshop.designs.smoother",
        "design.cutoff=1",
        "input=observations",
        f"input.path={path}",
        "input.columns=[y]",
        "dt=null",
        "duration=null",
    )
    expected, pole = 0.0, np.exp(-2 * np.pi * 1 / 10)
    filtered = read(out / "trajectory.nc")["y_filtered"].values
    for measured, value in zip(y, filtered, strict=True):
        expected = pole * expected + (1 - pole) * measured
        assert value == pytest.approx(expected, abs=1e-12)
