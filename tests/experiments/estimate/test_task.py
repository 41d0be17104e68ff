"""The task `estimate`: published values, what is kept, and records that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.records.observations import columns, lidar_radar, pendulum, series
from experiments.run import run
from sim.netcdf import read
from sim.trajectory import trajectory
from tests.compliance import TIME_IS_ELAPSED, complaints


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; its exit code, run.json's content and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*argv):
        code = run([*argv, "output.dir=out"])
        out, err = capsys.readouterr()
        told = Path("out", "run.json")
        return code, json.loads(told.read_text()) if told.exists() else None, out + err

    return command


@pytest.fixture(scope="module")
def published(shared):
    return json.loads((shared / "references" / "estimation.json").read_text())


def agrees(value, digits):
    """Equal to the digits given."""
    after = len(str(digits).partition(".")[2])
    return round(float(value), after) == digits


def test_the_nile(scansim, published):
    nile = published["nile"]
    code, told, said = scansim("experiment=nile", "output.keep=[mean,sd,loglik,innovation]")
    assert code == 0, said
    data = read("out/trajectory.nc")
    np.testing.assert_array_equal(data.flow, nile["data_1871_1970"])
    np.testing.assert_array_equal(data.time, np.arange(1871, 1971))
    assert (data.time.units, data.flow.units, data.level_smoothed.units) == (
        "year",
        "1e8 m3",
        "1e8 m3",
    )
    assert agrees(data.loglik.sum(), nile["loglik_exact_diffuse_99_observations"])
    assert agrees(told["metrics"]["loglik"]["total"], nile["loglik_exact_diffuse_99_observations"])
    assert agrees(data.level_filtered[-1], nile["final_filtered_mean"])
    assert agrees(data.level_filtered_sd[-1] ** 2, nile["final_filtered_variance"])
    assert agrees(data.level_smoothed_sd[50] ** 2, nile["smoothed_variance_mid_series"])
    for year, value in nile["smoothed_mean"].items():
        assert agrees(data.level_smoothed.sel(time=int(year)), value)
    assert np.isnan(data.flow_innovation[0]) and data.loglik[0] == 0
    assert "-632.5456" in said and "as it should be" in said
    assert Path("out/trajectory.png").stat().st_size > 10_000
    assert "integrator" not in data.attrs and "local_level" in data.attrs["estimator"]
    assert "lorenz" not in data.attrs["config"]


@pytest.mark.parametrize("name", ["extended", "unscented"])
def test_the_pendulum(scansim, shared, published, name):
    values = published["pendulum"]["EKF" if name == "extended" else "UKF_alpha1_beta0_kappa1"]
    code, told, said = scansim(
        "experiment=pendulum_estimate",
        f"estimator={name}_pendulum",
        "output=data",
        f"input.path={shared / 'data' / 'pendulum.json'}",
    )
    assert code == 0, said
    assert agrees(told["metrics"]["loglik"]["total"], values["loglik"])
    for kind, digits in (("filtered", "filter_rmse"), ("smoothed", "smoother_rmse")):
        assert agrees(told["metrics"]["rmse"][f"angle_{kind}"], values[digits])
    data = read("out/trajectory.nc")
    assert "loglik" not in data and "sine_innovation" not in data
    assert data.sizes["time"] == 500 and float(data.time[0]) == 0.01
    assert data.angular_velocity_true.units == "rad s-1"


PARTS = "[mean,sd,covariance,predicted,innovation,loglik]"


def test_lidar_and_radar_and_that_every_part_is_cf_compliant(scansim, shared, published):
    values = published["lidar_radar"]
    argv = ["experiment=lidar_radar", f"input.path={shared / 'data' / 'lidar_radar.txt'}"]
    code, told, said = scansim(*argv, f"output.keep={PARTS}", "output.figure=null")
    assert code == 0, said
    rmse, nis = told["metrics"]["rmse"], told["metrics"]["nis"]
    for state, value in zip(("px", "py", "vx", "vy"), values["rmse_px_py_vx_vy"], strict=True):
        assert agrees(rmse[f"{state}_filtered"], value)
        assert rmse[f"{state}_smoothed"] < rmse[f"{state}_filtered"]
    assert agrees(told["metrics"]["loglik"]["total"], values["loglik"])
    for sensor, value in zip(("lidar", "radar"), values["mean_nis_lidar_radar"], strict=True):
        assert agrees(nis[f"{sensor}_mean"], value)
        assert f"({sensor}: as it should be" in said
    rows = Path("out/metrics.csv").read_text().splitlines()
    assert "rmse,px_filtered," in rows[1] and rows[1].endswith(",m")
    data = read("out/trajectory.nc")
    assert data.px_vx_smoothed_covariance.units == "(m).(m s-1)"
    np.testing.assert_allclose(data.px_px_filtered_covariance, data.px_filtered_sd**2, rtol=1e-12)
    assert complaints("out/trajectory.nc") == TIME_IS_ELAPSED


def test_a_csv_file_with_gaps(scansim, tmp_path):
    (tmp_path / "r.csv").write_text("t,y,x\n0,1.5,1\n0.5,,1\n1,0.5,1\n1.5,1.25,1\n2,nan,1\n")
    argv = [
        "task=estimate",
        "estimator=local_level",
        "input=observations",
        "input.path=r.csv",
        "dt=null",
        "duration=null",
        "input.time=t",
        "input.truth.level=x",
        "output.save_every=2",
    ]
    code, told, said = scansim(*argv)
    assert code == 0, said
    data = read("out/trajectory.nc")
    np.testing.assert_array_equal(data.time, [0, 1, 2])
    np.testing.assert_array_equal(data.observed, [1.5, 0.5, np.nan])
    assert np.isfinite(data.level_smoothed).all()
    assert told["metrics"]["rmse"]["level_smoothed"] < 0.5


def test_float32_and_a_shorter_record_with_gaps_from_its_first_year_on(scansim):
    values = "[null,null,963,null,1160,1160,813,null,1230,1370]"
    code, told, said = scansim(
        "experiment=nile", "runtime=float32", "duration=8", f"input.values={values}", "output=data"
    )
    assert code == 0 and "the first 2 left out" in said, said
    data = read("out/trajectory.nc")
    assert told["steps"] == data.sizes["time"] == 7 and data.time[0] == 1873
    assert np.isfinite(data.level_smoothed).all()
    assert data.level_smoothed.dtype == "float32" and data.flow.dtype == "float64"


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
    ("reader", "text", "message"),
    [
        (pendulum, "{}", "expected JSON with numbers T, X and Y"),
        (pendulum, '{"T": [1, 2], "X": [[1, 2]], "Y": [1, 2]}', r"expected X \(2, N\)"),
        (lidar_radar, "L 1 2 0 1 2 3 4\nQ 1 2 3\n", "line 2: expected a row 'L x y t"),
        (lidar_radar, "R 1 2 3 0 1 2\n", "line 1"),
        (lidar_radar, "L 1 2 0 1 2 3 4\n", "expected at least 2 rows, got 1"),
        (columns, "time,z\n0,1\n1,2\n", r"input.columns\[0\]: no column 'y'"),
    ],
)
def test_a_record_that_does_not_fit_is_named(tmp_path, reader, text, message):
    (tmp_path / "r.txt").write_text(text)
    with pytest.raises((OSError, ValueError), match=message):
        reader(str(tmp_path / "r.txt"))
    with pytest.raises(ValueError, match="needs a recorded file. It is published"):
        reader(None, "It is published.")


def test_a_series_may_have_gaps_and_columns():
    found = series(((1, 2), (3, None)), start=5, interval=2)
    np.testing.assert_array_equal(found.time, [5, 7])
    np.testing.assert_array_equal(found.y, [[1, 2], [3, np.nan]])
    with pytest.raises(ValueError, match="values: expected at least 2"):
        series((1,))


LINEAR = [
    "estimator=linear",
    "estimator.A=[[0,1],[-9.81,0]]",
    "estimator.covariance=[1,4]",
    "estimator.R=[0.01]",
    "estimator.Qc=[[0.1]]",
]
RECORD = ["task=estimate", "input=observations", "input.path=r.csv", "dt=null", "duration=null"]


@pytest.fixture
def swing(tmp_path):
    """A swing seen at odd times, with gaps and one outlier."""
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.exponential(0.2, 80))
    angle = 0.5 * np.cos(np.sqrt(9.81) * time)
    y = angle + 0.1 * rng.normal(size=80)
    y[[0, 30, 31]], y[50] = np.nan, 9.0
    rows = zip(time, y, angle, strict=True)
    text = "time,y,angle\n" + "".join(f"{t},{'' if np.isnan(v) else v},{a}\n" for t, v, a in rows)
    (tmp_path / "r.csv").write_text(text)
    return time, y, angle


def test_a_linear_model_between_any_times_from_a_netcdf_file_with_gaps(scansim, swing, tmp_path):
    time, y, _ = swing
    stored = trajectory({"y": y}, dt=1.0, first=0).assign_coords(time=time)
    stored.to_netcdf(tmp_path / "r.nc", engine="netcdf4")
    for kind in ("time", "y"):
        csv, netcdf = (getattr(columns(name), kind) for name in ("r.csv", "r.nc"))
        np.testing.assert_array_equal(csv, netcdf)
    code, told, said = scansim(*RECORD, "input.path=r.nc", *LINEAR, "forecast=4")
    assert code == 0 and "steps of 0.0" in said, said
    data, ahead = read("out/trajectory.nc"), read("out/forecast.nc")
    np.testing.assert_allclose(data.time, time, rtol=1e-12)
    # The joint Gaussian of all the states, by hand.
    w = np.sqrt(9.81)
    times = [*time, *(time[-1] + np.median(np.diff(time)) * np.arange(1, 5))]
    m, P, loglik, found = np.zeros(2), np.diag([1.0, 4.0]), 0.0, []
    for k, dt in enumerate(np.diff(times, prepend=time[0])):

        def turn(s):
            return np.array(
                [[np.cos(w * s), np.sin(w * s) / w], [-w * np.sin(w * s), np.cos(w * s)]]
            )

        nodes, weights = np.polynomial.legendre.leggauss(30)
        responses = [turn(0.5 * dt * (1 + s))[:, 1:] for s in nodes]
        Q = sum(0.1 * 0.5 * dt * a * c @ c.T for a, c in zip(weights, responses, strict=True))
        m, P = turn(dt) @ m, turn(dt) @ P @ turn(dt).T + Q
        if k < len(y) and np.isfinite(y[k]):
            S, v = P[0, 0] + 0.01, y[k] - m[0]
            loglik -= 0.5 * (v * v / S + np.log(2 * np.pi * S))
            m, P = m + P[:, 0] * v / S, P - np.outer(P[:, 0], P[0]) / S
        found.append((m[0], np.sqrt(P[0, 0])))
    means, sds = np.array(found).T
    np.testing.assert_allclose(data.position_filtered, means[:80], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(told["metrics"]["loglik"]["total"], loglik, rtol=1e-9)
    np.testing.assert_allclose(ahead.time, times[80:], rtol=1e-12)
    np.testing.assert_allclose(ahead.position_forecast, means[80:], rtol=1e-7, atol=1e-9)
    half = 1.959963985 * np.hypot(sds[80:], 0.1)
    np.testing.assert_allclose(ahead.y_forecast_upper - ahead.y_forecast, half, rtol=1e-6)


def test_a_model_between_any_times_and_an_update_that_an_outlier_does_not_move(
    scansim, swing, tmp_path
):
    common = [*RECORD, "output=data", "input.columns=[y]"]
    linear = [*LINEAR, "input.truth.position=angle"]
    continuous = [
        "estimator=continuous",
        "input.truth.angle=angle",
        "estimator.R=[0.01]",
        "estimator.model.initial.angle=0.4",
        "estimator.model.params.damping=0",
    ]
    rmse = {}
    for update in ("none", "gate", "huber", "student_t"):
        argv = continuous if update == "student_t" else linear
        code, told, said = scansim(*common, *argv, f"update={update}")
        assert code == 0 and (update == "none") == (f"and {update}" not in said), said
        [rmse[update]] = (
            v for name, v in told["metrics"]["rmse"].items() if name.endswith("smoothed")
        )
        (tmp_path / "out").rename(tmp_path / update)
    assert told["title"] == "Pendulum"
    assert max(rmse["gate"], rmse["student_t"], rmse["huber"]) < 0.1 < rmse["none"], rmse


def test_recorded_recipes_take_gaps_from_the_first_observation_on(scansim, shared, tmp_path):
    record = json.loads((shared / "data" / "pendulum.json").read_text())
    record["Y"][0] = record["Y"][7] = None
    (tmp_path / "p.json").write_text(json.dumps(record))
    assert np.flatnonzero(np.isnan(pendulum(str(tmp_path / "p.json")).y[:, 0])).tolist() == [0, 7]
    lines = (shared / "data" / "lidar_radar.txt").read_text().splitlines()
    for k in (0, 4):
        lines[k] = "\t".join([*lines[k].split()[:2], "nan", *lines[k].split()[3:]])
    (tmp_path / "l.txt").write_text("\n".join(lines))
    code, told, said = scansim("experiment=lidar_radar", "input.path=l.txt", "output=data")
    assert code == 0 and told["steps"] == len(lines) - 1, said
    assert np.isfinite(read("out/trajectory.nc").px_smoothed).all()


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
