"""Records from a package, from their files, and from functions of the user."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.fit.records import FIT, write_record


@pytest.mark.parametrize("name", ["silverbox", "cascaded_tanks_fit", "emps"])
def test_a_recipe_without_a_record_says_where_it_is(quick, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "nonlinear_benchmarks", None)
    code, _, output = quick(f"experiment={name}")
    assert code == 2 and "nonlinearbenchmark.org" in output and "data.path=FILE" in output
    assert "scansim[records]" in output and output.count("\n") == 2 and not Path("out").exists()


class Loaded:
    """As the package gives a record."""

    def __init__(self, u, y, sampling_time):
        self.u, self.y, self.sampling_time = u, y, sampling_time


QUICK = (*FIT, "fit.steps=3")


def test_the_tanks_by_way_of_the_package(quick, shared, monkeypatch):
    record = np.loadtxt(
        shared / "data" / "cascaded_tanks_train.csv", delimiter=",", skiprows=1, max_rows=400
    )
    train, test = (Loaded(part[:, 1], part[:, 2], 4.0) for part in (record, record[100:300]))
    package = types.SimpleNamespace(Cascaded_Tanks=lambda train_test_split: (train, test))
    monkeypatch.setitem(sys.modules, "nonlinear_benchmarks", package)
    code, found, output = quick("experiment=cascaded_tanks_fit", *QUICK)
    assert code == 0, output
    assert [(t.name, len(t.time), t.time[1]) for t in found.traces] == [
        ("training", 400, 4.0),
        ("test", 200, 4.0),
    ]
    assert found.traces[1].scores["rmse"]["y"] == found.published[0][1]["test (V)"] < 3
    np.testing.assert_array_equal(found.traces[0].measured["y"], record[:, 2])
    assert found.published[1] == ("grey box, Rogers 2017", {"test (V)": 0.18})
    assert "fixed" in output and found.units[:3] == ("s-1", "V0.5 s-1", "V0.5 s-1")


def test_the_silverbox_by_way_of_the_package(quick, shared, monkeypatch):
    """The record is whole there; its rows are those of the file."""
    path = shared / "data" / "silverbox.csv"
    part = np.loadtxt(path, delimiter=",", skiprows=1 + 40650, max_rows=1000)
    whole = np.full((131072, 2), np.nan)
    whole[40650:41650] = part
    package = types.SimpleNamespace(Silverbox=lambda train_test_split: Loaded(*whole.T, 1 / 610.35))
    monkeypatch.setitem(sys.modules, "nonlinear_benchmarks", package)
    code, found, output = quick(
        "experiment=silverbox",
        *QUICK,
        "substeps=1",
        "data.test=[]",
        "data.train=[{name: training, rows: [40650, 41650]}]",
    )
    assert code == 0, output
    assert found.traces[0].time[1] == 0.0016384 and found.traces[0].units == {"u": "V", "y": "V"}
    np.testing.assert_array_equal(found.traces[0].measured["y"], part[:, 1])
    assert not found.published and found.loss[-1] < 0.1 * found.loss[0]


def test_the_positioning_system_by_its_file(quick, shared):
    code, found, output = quick(
        "experiment=emps",
        *QUICK,
        f"data.path={shared / 'data' / 'emps_train.csv'}",
        "data.train=[{name: training, rows: [0, 2000], known: 20}]",
    )
    assert code == 0, output
    assert (
        not found.published
        and "no test was scored: name its file with data.test_path" in found.sentences
    )
    assert found.units[0] == "kg" and found.loss[-1] < 0.1 * found.loss[0]
    assert "states[0].position" not in found.names


def test_a_package_that_cannot_load_is_one_line(quick, monkeypatch):
    def Cascaded_Tanks(train_test_split):
        raise RuntimeError("unable to download")

    package = types.SimpleNamespace(Cascaded_Tanks=Cascaded_Tanks)
    monkeypatch.setitem(sys.modules, "nonlinear_benchmarks", package)
    code, _, output = quick("experiment=cascaded_tanks_fit")
    assert code == 4 and output.count("\n") == 1 and "RuntimeError: unable to download" in output


LOADERS = """
from experiments.identification.data import data

def load(file: str):
    return data(path=file)

def number():
    return 3
"""


def test_records_of_ones_own(quick, monkeypatch):
    Path("loaders.py").write_text(LOADERS)
    monkeypatch.syspath_prepend(Path.cwd())
    write_record()
    more = (*FIT, "model=duffing", "allow=[loaders]", "fit.steps=1", "integrator=euler")
    code, _, output = quick(*more, "data._target_=loaders.number")
    assert code == 2 and output == (
        "scansim: data._target_: expected a function that returns "
        "experiments.identification.data.Data, got one that returns int\n"
    )
    code, found, output = quick(*more, "data._target_=loaders.load", "data.file=r.csv")
    assert code == 0 and found.traces[0].measured["y"].shape == (240,), output
