"""What the report of a fit says about the data, the model and the search."""

import json
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from tests.experiments.fit.records import FIT, PLAIN, check_near, duffing_record, write_record


def test_intervals_count_the_memory_of_a_residual_that_is_not_white(quick):
    columns = duffing_record(noise=0.0)
    columns["y"] += 0.002 * lfilter([1], [1, -0.95], np.random.default_rng(5).normal(size=240))
    write_record(columns=columns)
    code, found, output = quick(
        *PLAIN, "data.input=u", "data.output=y", "fit.bands=true", "fit.profile=[mass]"
    )
    assert code == 0, output
    check_near(found)
    (words,) = [text for text in found.sentences if "not white" in text]
    assert found.sentences[-1].startswith("the intervals by profile take the residual as white")
    assert np.ptp(found.profile[0]) < 0.8 * (found.upper[0] - found.lower[0])
    assert float(words.split(" times as wide")[0].split()[-1]) > 1.3 and words in output.replace(
        "\n", " "
    )
    white = 0.25 * np.std(found.traces[0].simulated["y"])
    assert found.traces[0].band["y"].max() < white


def test_units_of_a_file_are_told_not_converted(quick):
    import xarray

    columns = duffing_record()
    units = {"time": "min", "u": "kg m/s2", "y": "mm"}
    columns["time"] = columns["time"] / 60
    dataset = xarray.Dataset(
        {name: ("time", columns[name], {"units": unit}) for name, unit in units.items()}
    )
    dataset.to_netcdf("r.nc", engine="netcdf4")
    code, found, output = quick(*PLAIN, "data.path=r.nc")
    assert code == 0, output
    check_near(found)
    assert found.traces[0].units == {"u": "kg m/s2", "y": "mm"}
    assert [s for s in found.sentences if s.startswith("units: ")] == [
        "units: column 'u' is in kg m/s2, force of duffing in N; no number was converted",
        "units: column 'y' is in mm, position of duffing in m; no number was converted",
    ]


def test_what_the_data_cannot_tell_is_said(quick):
    """No force: of mass, damping and springs only the ratios are seen."""
    still = duffing_record(120)
    at, noise = still["time"], 0.01 * np.random.default_rng(0).normal(size=120)
    still |= {"u": 0 * at, "y": 0.5 * np.exp(-0.2 * at) * np.cos(2 * at) + noise}
    write_record(columns=still)
    code, found, output = quick(*PLAIN, "data.validation=[{name: short, rows: [0, 40], known: 50}]")
    assert code == 0, output
    assert " the data determine only a combination of them" in output
    assert "the input u is 0 throughout" in output and "not determined" in output
    assert "short was not scored: " in output and np.isinf(found.standard_error[0])


def test_a_search_leaves_where_the_model_diverges(quick):
    write_record()
    code, found, output = quick(*PLAIN, "model.params.stiffness=4", "model.params.cubic=2")
    assert code == 0, output
    assert "diverged at" in found.sentences[0]
    assert np.isfinite(found.value).all()


BRITTLE = """
import jax.numpy as jnp
from typing import NamedTuple
from jax.tree_util import Partial
from sim.models import Model, Quantity

class Params(NamedTuple):
    rate: float = 1.0

class State(NamedTuple):
    y: float = 1.0

def brittle(p, t, y, u=None):
    return State(jnp.where(p.rate == 1.0, -p.rate, jnp.nan) * y.y)

def model():
    return Model("brittle", Partial(brittle, Params()), State(), {"y": Quantity("m", "level")})
"""


def test_a_search_that_stays_non_finite_has_an_exit_code_of_its_own(quick, monkeypatch):
    Path("fragile.py").write_text(BRITTLE)
    monkeypatch.syspath_prepend(Path.cwd())
    write_record()
    code, found, output = quick(
        *FIT,
        "model._target_=fragile.model",
        "allow=[fragile]",
        "data.path=r.csv",
        "data.input=[]",
        "integrator=euler",
        "fit.states=fixed",
    )
    assert code == 5 and found.value.tolist() == [1.0], output
    last = output.strip().splitlines()[-1]
    assert last.startswith(
        "scansim: the loss turned non-finite wherever the search would go on, after evaluation 12"
    )
    run_json = json.loads(Path("out/run.json").read_text())
    assert (run_json["status"], run_json["exit_code"]) == ("not finite", 5) and Path(
        "out/report.html"
    ).exists()
