"""Columns by name from CSV and NetCDF, and what is wrong with a file."""

import numpy as np
import pytest
import xarray

from experiments.records.columns import read_input, sample_interval_of

TEXT = "time,u,y\n0,1.5,2\n0.5,2.5,\n1,3.5,4\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\n", ",\n").replace("y,", "y"),
        "\ufeff" + TEXT,
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
    ],
)
def test_csv_columns_by_name(tmp_path, text):
    found = read_input(write(tmp_path / "r.csv", text), reference={"level": "y"})
    np.testing.assert_array_equal(found.u, [[1.5], [2.5], [3.5]])
    np.testing.assert_array_equal(found.reference["level"], [2.0, np.nan, 4.0])
    assert sample_interval_of(found, None) == 0.5


@pytest.mark.parametrize("units", ["minutes", "minutes since 2020-01-01"])
def test_netcdf_columns_by_name(tmp_path, units):
    path = tmp_path / "r.nc"
    data = {"u1": ("time", [1.0, 2.0]), "u2": ("time", [3.0, 4.0]), "y": ("time", [5.0, 6.0])}
    time = ("time", [2.0, 2.25], {"units": units})
    xarray.Dataset(data, {"time": time}).to_netcdf(path, engine="netcdf4")
    found = read_input(str(path), columns=("u2", "u1"), reference={"level": "y"})
    np.testing.assert_array_equal(found.u, [[3.0, 1.0], [4.0, 2.0]])
    assert sample_interval_of(found, None) == 15.0


def test_a_record_without_times_is_sampled_every_dt(tmp_path):
    found = read_input(write(tmp_path / "r.csv", TEXT), time=None)
    assert sample_interval_of(found, 0.1) == 0.1
    with pytest.raises(ValueError, match="dt: expected the record's sample interval"):
        sample_interval_of(found, None)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"time": "tme"}, "input.time: no column 'tme' .*; did you mean 'time'"),
        ({"columns": ("v",)}, r"input.columns\[0\]: no column 'v' .*; known here: time, u, y"),
        ({"reference": {"level": "z"}}, "input.reference.level: no column 'z'"),
        ({"columns": ()}, "input.columns: expected at least one"),
    ],
)
def test_an_unknown_column_is_named(tmp_path, keys, message):
    with pytest.raises(ValueError, match=message):
        read_input(write(tmp_path / "r.csv", TEXT), **keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,u\n0,1\n1,abc\n", "'abc' to float64 at row 2, column 2$"),
        (
            "time;u\n0,0;1\n0,5;2\n",
            "'0,0' .* at row 1, column 1; decimals are written with a point",
        ),
        ("time,u\n0,1\n1\n", "r.csv: "),
        ("time,u\n", "expected at least 2 samples, got 0"),
        (
            "time,u,y\n0,1,2\n1,1,234.5,2\n",
            "expected 3 fields in each row, one for each column name, "
            "got 4 in row 2: '1,1,234.5,2'",
        ),
        ("", "expected a line of column names, got an empty line"),
        ("time u\n0 1\n1 2\n", "expected columns parted by comma, semicolon or tab"),
        ("time,u\n0,1\n1,\n2,3\n", "column 'u' has no finite value in sample 1"),
    ],
)
def test_a_bad_file_is_an_input_error(tmp_path, text, message):
    with pytest.raises(OSError, match=message):
        read_input(write(tmp_path / "r.csv", text))


def test_two_columns_of_one_name_are_not_one(tmp_path):
    with pytest.raises(
        ValueError, match=r"input.columns\[0\]: expected one column 'u' in .*, got 2"
    ):
        read_input(write(tmp_path / "r.csv", "time,u,u\n0,1,2\n1,2,3\n"))


def test_text_in_a_netcdf_file_is_named(tmp_path):
    xarray.Dataset({"u": ("time", ["a", "b"])}, {"time": [0.0, 1.0]}).to_netcdf(
        tmp_path / "r.nc", engine="netcdf4"
    )
    with pytest.raises(OSError, match="expected numbers in column 'u', got text"):
        read_input(str(tmp_path / "r.nc"))


def test_quoted_fields_are_read(tmp_path):
    found = read_input(write(tmp_path / "r.csv", '"time","u"\n"0","1.5"\n"1","2.5"\n'))
    assert found.u.tolist() == [[1.5], [2.5]]


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path / "record.csv", TEXT)
    with pytest.raises(FileNotFoundError, match="did you mean 'record.csv'"):
        read_input(str(tmp_path / "recrod.csv"))
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read_input(str(tmp_path / "nowhere" / "record.csv"))
    (tmp_path / "binary.csv").write_bytes(b"\x89HDF\xff\xfe")
    with pytest.raises(OSError, match="is not a text file"):
        read_input(str(tmp_path / "binary.csv"))
    write(tmp_path / "text.nc", "time,u\n")
    with pytest.raises(OSError, match=r"text\.nc"):
        read_input(str(tmp_path / "text.nc"))


def test_irregular_times_are_refused_by_name(tmp_path):
    found = read_input(write(tmp_path / "r.csv", "time,u\n0,1\n1,1\n2,1\n3.5,1\n4.5,1\n"))
    with pytest.raises(OSError, match="input.path: .*r.csv: expected regular samples, 1 s apart"):
        sample_interval_of(found, None)


def test_dt_is_the_sample_interval(tmp_path):
    found = read_input(write(tmp_path / "r.csv", TEXT))
    assert sample_interval_of(found, 0.5) == 0.5
    with pytest.raises(ValueError, match="dt: expected 0.5, .* got 0.1; .* use substeps"):
        sample_interval_of(found, 0.1)
