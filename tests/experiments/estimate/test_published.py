"""The task `estimate` gives published values."""

import json
from pathlib import Path

import numpy as np
import pytest

from sim.netcdf import read
from tests.compliance import TIME_IS_ELAPSED, complaints


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
