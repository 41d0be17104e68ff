"""Estimates between any times, and updates that resist outliers."""

import numpy as np

from experiments.records.observations import columns
from sim.netcdf import read
from sim.trajectory import trajectory
from tests.experiments.estimate.commands import LINEAR, RECORD


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
