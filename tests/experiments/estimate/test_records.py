"""Records that the task `estimate` reads, with gaps or short, and those that it refuses."""

import json

import numpy as np
import pytest

from experiments.records.observations import columns, lidar_radar, pendulum, series
from sim.netcdf import read


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
