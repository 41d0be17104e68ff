"""Every network trains, alone or beside physics, and is kept with its scores."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.identification import report
from experiments.learn import saved
from experiments.learn.evaluation import best_members
from experiments.learn.training import least_squares
from sim import rnn, rollout
from sim.fit.search.ensemble import Ensemble
from sim.inputs import zero_order_hold
from tests.experiments.learn.records import (
    HELD,
    LEARN,
    NETWORKS,
    PLANT,
    SMALL,
    simulated,
    write_record,
)

FIGURE = report.svg_figure


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_builds_trains_and_is_kept(scansim, name, recorded):
    sizes = (
        ("network.hidden=[2]",)
        if name == "state_space"
        else ("network.hidden=2", "network.layers=1")
    )
    code, found, output = scansim(*LEARN, *SMALL[2:], f"network={name}", *sizes)
    assert code == 0, output
    assert len(found.loss) == 3 and np.isfinite(found.loss).all() and not found.names
    assert sum(found.weights.values()) > 5 and "a network of" in output
    one = simulated("out/network.nc", recorded["u"][:60])
    np.testing.assert_allclose(one, found.traces[0].simulated["y"], rtol=1e-12)
    error = (one - recorded["y"][:60])[10:]
    np.testing.assert_allclose(found.traces[0].scores["rmse"]["y"], np.sqrt(np.mean(error**2)))


def test_a_saturating_plant_is_learned_and_told(scansim, monkeypatch, recorded):
    """Tests are read after the training, and count from the samples on that are known."""
    monkeypatch.setattr(report, "svg_figure", FIGURE)
    other = {name: column[40:] for name, column in recorded.items()}
    write_record("t.csv", other | {"time": 0.1 * np.arange(60)})
    code, found, output = scansim(
        "task=learn",
        "data.path=r.csv",
        *PLANT,
        "data.train=[{name: training, rows: [0, 60]}]",
        HELD,
        "data.test_path=t.csv",
        "data.test=[{name: other, known: 20}]",
        "data.published={theirs: {other: 20}}",
        "data.units=mV",
        "data.scale=1000",
        "learn.steps=40",
    )
    assert code == 0, output
    assert [t.name for t in found.traces] == ["training", "validation", "other"]
    for trace in found.traces:
        assert trace.scores["rmse"]["y"] < 0.08, trace.name  # of a spread of 0.5
    assert (
        found.loss[-1] < 0.1 * found.loss[0] and found.validation.min() < 0.5 * found.validation[0]
    )
    ours, theirs = found.published
    assert theirs == ("theirs", {"other (mV)": 20.0})
    assert ours == ("this fit", {"other (mV)": 1000 * found.traces[2].scores["rmse"]["y"]})
    run_json = json.loads(Path("out/run.json").read_text())
    assert (
        run_json["status"] == "done"
        and run_json["task"] == "learn"
        and run_json["steps"] == len(found.loss) - 1
    )
    assert "out/network.nc" in output and "training: step" in output and "theirs" in output
    assert Path("out/learn.png").stat().st_size > 20_000
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert not re.search(
        r"https?://(?!www\.w3\.org|purl\.org|creativecommons)", page.partition("<pre>")[0]
    )
    figures = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(figures) == 3 + 1 + 1 and all(len(ElementTree.fromstring(svg)) for svg in figures)
    assert "validation</text>" in figures[-1] or ">validation<" in figures[-1]
    HTMLParser().feed(page)
    kept = rnn.load("out/network.nc")
    assert kept.config["inputs"] == ["u"] and kept.config["network"]["states"] == 2
    assert kept.scaling.y_mean.tolist() == [np.mean(recorded["y"][:60])]


@pytest.mark.parametrize(("combine", "expected"), [("best", [2.0]), ("mean", [2.0, 3.0])])
def test_of_members_the_best_counts_and_none_that_diverged(combine, expected):
    params, states = jnp.array([1.0, 2.0, 3.0]), (jnp.array([[4.0], [5.0], [6.0]]),)
    found = Ensemble(
        params,
        states,
        None,
        None,
        np.array([0.5, 1.0, 2.0]),
        np.array([False, True, True]),
        "",
        None,
    )
    each = best_members(least_squares(members=3, combine=combine), found)
    assert [p.item() for p, _ in each] == expected and each[0][1][0].item() == 5.0


def test_physics_with_a_network_in_its_field(scansim, recorded):
    """The physics begins as it is; its parameters come back with their errors."""
    from sim.models import duffing

    code, found, output = scansim(
        *LEARN,
        "network=correction",
        "network.hidden=[2]",
        "network.prior=1",
        "model=duffing",
        "integrator=euler",
        "network.parameters.mass=positive",
        "network.parameters.cubic=fixed",
        "network.parameters.stiffness='= damping'",
        "model.params.stiffness=1",
        "learn=least_squares",
        "learn.states=free",
        "learn.steps=2",
    )
    assert code == 0, output
    value = dict(zip(found.names, found.value, strict=True))
    assert list(value) == [
        "mass",
        "damping",
        "stiffness",
        "cubic",
        "states[0].position",
        "states[0].velocity",
    ]
    assert value["damping"] == value["stiffness"] and value["cubic"] == 1.0
    error = found.standard_error
    assert np.isnan(error[3]) and error[1] == error[2] > 0 and found.units[0] == "kg"
    assert (
        found.weights == {"net.0.0": 6, "net.0.1": 2, "net.1.0": 4, "net.1.1": 2}
        or sum(found.weights.values()) == 14
    )
    stepper = saved.load_network("out/network.nc")
    first = duffing.State(*(jnp.asarray(value[f"states[0].{n}"]) for n in ("position", "velocity")))
    held = zero_order_hold(recorded["time"][:60], jnp.asarray(recorded["u"][:60]))
    ys = rollout(stepper.step, stepper.init(first), held)[1]
    np.testing.assert_allclose(ys.position, found.traces[0].simulated["y"][1:], rtol=1e-10)
