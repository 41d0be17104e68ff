"""The task `filter`: what scipy gives, in a file that says how, and records that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from experiments.run import run
from sim.netcdf import read
from sim.trajectory import trajectory
from tests.compliance import TIME_IS_ELAPSED, complaints

TIME = np.arange(400) * 0.005
RNG = np.random.default_rng(0)
FORCE = np.sin(2 * np.pi * TIME) + 0.3 * np.sin(2 * np.pi * 50 * TIME) + 0.1 * RNG.normal(size=400)
SOS = scipy.signal.butter(4, 10.0, fs=200.0, output="sos")
LOWPASS = ["experiment=lowpass", "input.path=r.csv", "input.columns=[force]", "design.cutoff=10"]


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command beside the record; returns its exit code, run.json and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    write(FORCE)

    def command(*argv):
        code = run([*argv, "output.dir=out"])
        told = Path("out", "run.json")
        said = capsys.readouterr()
        return code, json.loads(told.read_text()) if told.exists() else None, said.out + said.err

    return command


def write(force, time=TIME, path="r.csv"):
    rows = zip(time, force, strict=True)
    text = "".join(
        f"{t},{'' if np.isnan(v) else repr(float(v))},{k}\n" for k, (t, v) in enumerate(rows)
    )
    Path(path).write_text("time,force,count\n" + text)


@pytest.mark.parametrize("zero_phase", ["true", "false"])
def test_a_csv_file_is_filtered_as_scipy_would(scansim, zero_phase):
    code, told, said = scansim(*LOWPASS, f"zero_phase={zero_phase}")
    assert code == 0, said
    zero = zero_phase == "true"
    expected = (scipy.signal.sosfiltfilt if zero else scipy.signal.sosfilt)(SOS, FORCE)
    data = read("out/trajectory.nc")
    np.testing.assert_allclose(data.force_filtered, expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(data.force, FORCE)
    np.testing.assert_allclose(data.time, TIME, rtol=1e-12)
    about = data.force_filtered.attrs
    assert (about["filter_method"], about["filter_fs"], about["filter_cutoff"]) == (
        "butter",
        200.0,
        10.0,
    )
    assert data.attrs["design"] == "filters.iir.design.butter" and "model" not in data.attrs
    assert (told["status"], told["steps"], told["title"]) == ("done", 400, "R, filtered")
    phase = "zero phase" if zero else "causal"
    assert f"butter, order 4, btype low, cutoff 10 Hz, sampled at 200 Hz, {phase}" in said
    rms = told["metrics"]["rms"]
    assert rms["force_filtered"] == pytest.approx(np.sqrt(np.mean(expected**2)))
    assert f"{rms['force']:.4g} before" in said
    assert Path("out/trajectory.png").stat().st_size > 10_000


def test_two_columns_of_a_netcdf_file_keep_their_units_and_order(scansim):
    about = {"force": ("N", "force of the motor"), "angle": ("rad", "angle")}
    stored = trajectory({"force": FORCE, "angle": FORCE**2}, dt=5.0, first=0, quantities=about)
    stored.time.attrs["units"] = "ms"
    stored.to_netcdf("r.nc", engine="netcdf4")
    argv = [
        "task=filter",
        "design=iirnotch",
        "design.cutoff=50",
        "design.Q=5",
        "input=observations",
        "input.path=r.nc",
        "input.columns=[force,angle]",
        "dt=null",
        "duration=1",
        "output=data",
        "output.save_every=2",
    ]
    code, told, said = scansim(*argv)
    assert code == 0, said
    data = read("out/trajectory.nc")
    b, a = scipy.signal.iirnotch(50, 5, fs=200)
    expected = scipy.signal.lfilter(b, a, FORCE[:201])[::2]
    np.testing.assert_allclose(data.force_filtered, expected, rtol=1e-9, atol=1e-11)
    assert data.force_filtered.attrs["units"] == "N" and data.time.attrs["units"] == "s"
    assert data.force_filtered.attrs["long_name"] == "force of the motor, filtered"
    assert said.index("N after  (force)") < said.index("rad after  (angle)")
    assert not Path("out/trajectory.png").exists()


def test_the_file_is_cf_compliant(scansim):
    assert scansim(*LOWPASS, "output=data")[0] == 0
    assert complaints("out/trajectory.nc") == TIME_IS_ELAPSED


def test_a_series_of_years_in_float32(scansim):
    code, _, said = scansim(
        "experiment=lowpass",
        "input=nile",
        "design=bessel",
        "design.cutoff=0.1",
        "design.order=2",
        "runtime=float32",
        "zero_phase=false",
    )
    assert code == 0 and "cutoff 0.1 year-1, sampled at 1 year-1, causal" in said, said
    data = read("out/trajectory.nc")
    sos = scipy.signal.bessel(2, 0.1, fs=1.0, output="sos")
    np.testing.assert_allclose(data.y_filtered, scipy.signal.sosfilt(sos, data.y), rtol=1e-5)
    assert data.y_filtered.dtype == "float32" and data.y_filtered.attrs["filter_units"] == "year-1"


def test_a_gap_is_held_or_goes_through(scansim, tmp_path):
    force = FORCE.copy()
    force[200] = np.nan
    write(force)
    code, told, said = scansim(*LOWPASS)
    assert code == 4 and told is None
    assert said == (
        "scansim: input.path: r.csv: force: expected a finite number in every sample, got nan "
        "in sample 200; gap may be 'hold' or 'propagate'\n"
    ).replace("r.csv", str(tmp_path / "r.csv"))
    assert scansim(*LOWPASS, "gap=propagate", "zero_phase=false")[0] == 0
    assert int(np.isnan(read("out/trajectory.nc").force_filtered).sum()) == 200
    Path("out").rename("propagated")
    assert scansim(*LOWPASS, "gap=hold")[0] == 0
    data = read("out/trajectory.nc")
    force[200] = force[199]
    expected = scipy.signal.sosfiltfilt(SOS, force)
    np.testing.assert_allclose(data.force_filtered, expected, rtol=1e-9, atol=1e-11)
    assert np.isnan(data.force[200])


def test_a_design_of_ones_own_and_one_that_is_unstable(scansim, tmp_path):
    (tmp_path / "owndesigns.py").write_text("""
def one_pole(w0, fs, pole=0.5):
    return [1.0], [1.0, -pole]
""")
    own = [
        "task=filter",
        "allow=[owndesigns]",
        "design._target_=owndesigns.one_pole",
        "design.cutoff=10",
        "input=observations",
        "input.path=r.csv",
        "input.columns=[force]",
        "dt=null",
        "duration=null",
    ]
    code, _, said = scansim(*own, "output=data")
    assert code == 0, said
    expected = scipy.signal.lfilter([1.0], [1.0, -0.5], FORCE)
    np.testing.assert_allclose(
        read("out/trajectory.nc").force_filtered, expected, rtol=1e-9, atol=1e-11
    )
    Path("out").rename("stable")
    code, told, said = scansim(*own, "design.pole=100")
    assert code == 2 and told is None
    assert said == "scansim: design: unstable poles, outside the unit circle: 100\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["input.columns=[forse]"], "no column 'forse' in"),
        (["input.columns=[force,time]"], "input.columns[1]: expected the name of a signal"),
        (["input.columns=[force,force]"], "input.columns: expected each column once"),
        (["design.cutoff=100"], "design.cutoff: expected above 0 and below 100 Hz, half the"),
        (["design.order=0.5"], "design.order: "),
        (["design.cutoff=1e-9"], "design: sos: expected no pole at 1"),
        (["design.btype=lo"], "design.btype: 'lo'"),
        (["duration=0.05"], "padlen"),
        (["duration=3"], "duration: expected at most 1.995"),
        (["dt=0.1"], "dt: expected 0.005, the sample interval of"),
        (["dt=0.1", "input.time=null", "design.cutoff=6"], "below 5 Hz"),
        (["input.path=none.csv"], "no such file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(scansim, argv, message):
    code, told, said = scansim(*LOWPASS, *argv)
    assert code in (2, 4) and told is None and message in said and said.count("\n") == 1, said
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("late", "message"),
    [
        (
            0.003,
            "expected regular samples, 0.005 s apart, got an interval of 0.008 s before sample 7",
        ),
        (-0.006, "expected finite times that increase, got 0.029 after 0.03 in sample 7"),
    ],
)
def test_irregular_times_are_one_line(scansim, late, message):
    time = TIME.copy()
    time[7] += late
    write(FORCE, time)
    code, told, said = scansim(*LOWPASS)
    assert code == 4 and told is None and message in said and said.count("\n") == 1, said
    assert "estimator" not in said
