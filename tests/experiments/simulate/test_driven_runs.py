"""Runs that a test signal, a record or another run drives."""

import csv
from pathlib import Path

import numpy as np
import pytest

from sim.netcdf import read


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
