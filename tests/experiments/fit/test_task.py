"""Parameters come back from records, in every way to search."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from integrators import euler
from sim import rollout
from sim.inputs import zero_order_hold
from sim.models import linear
from tests.experiments.fit.records import (
    DT,
    FIT,
    PLAIN,
    check_near,
    duffing_record,
    force,
    write_record,
)


def test_a_plain_line_gives_parameters_a_file_a_report_and_a_figure(scansim):
    write_record()
    code, found, output = scansim(
        "task=fit", "model=duffing", "data.path=r.csv", "data.input=u", "data.output=y"
    )
    assert code == 0, output
    check_near(found)
    names = ("mass", "damping", "stiffness", "cubic", "states[0].position", "states[0].velocity")
    assert found.names == names
    assert found.units == ("kg", "N s m-1", "N m-1", "N m-3", "m", "m s-1")
    assert found.sentences[0].startswith("converged after") and len(found.sentences) == 1
    trace = found.traces[0]
    assert abs(trace.scores["rmse"]["y"] - 0.01) < 0.002 and trace.units == {"u": "N", "y": "m"}
    assert 0 < trace.band["y"].max() < 0.01 and list(found.tests) == ["whiteness y", "u to y"]
    assert all(p > 0.001 for *_, p in found.tests.values())
    _, row = Path("out/metrics.csv").read_text().splitlines()
    assert row.startswith("rmse training,y,0.0") and row.endswith(",m")
    for name, least in (("report.html", 20_000), ("fit.png", 20_000), ("run.log", 10)):
        assert Path("out", name).stat().st_size > least
    run_json = json.loads(Path("out/run.json").read_text())
    assert run_json["status"] == "done" and run_json["steps"] == len(found.loss) - 1 > 3
    assert (
        "± " in output and "N s m-1" in output and "out/report.html" in output and "0.01" in output
    )


def test_a_robust_loss_leaves_gross_errors_out(quick):
    columns = duffing_record()
    columns["y"][::20] = 3.0
    write_record(columns=columns)
    code, found, output = quick(*PLAIN, "data.input=u", "data.output=y", "fit.loss=student_t")
    assert code == 0, output
    check_near(found)


def test_parts_files_gaps_and_several_outputs(quick):
    """Two files, one with gaps in either output; a part to validate with, and one to test with."""
    gaps = duffing_record(seed=1)
    gaps["y"][50:90], gaps["v"][:30] = np.nan, np.nan
    (
        write_record("a.csv"),
        write_record("b.csv", gaps),
        write_record("c.csv", duffing_record(seed=2)),
    )
    code, found, output = quick(
        *FIT,
        "model=duffing",
        "data.path=[a.csv,b.csv]",
        "data.output=[v,y]",
        "data.observed=[velocity,position]",
        "model.params.mass=1",
        "model.params.stiffness=1",
        "data.train=[{name: half, rows: [0, 120], known: 20}]",
        "data.validation=[{name: rest, rows: [120, 240], known: 20, path: a.csv}]",
        "data.test_path=c.csv",
        "data.test=[{name: other, known: 20}]",
        "data.published={theirs: {other: 20}}",
        "data.units=mm",
        "data.scale=1000",
    )
    assert code == 0, output
    check_near(found)
    assert [t.name for t in found.traces] == ["half 1", "half 2", "rest", "other"]
    assert found.names[-1] == "states[1].velocity"
    assert [len(t.time) for t in found.traces] == [120, 120, 120, 240]
    for trace in found.traces:
        assert trace.units == {"u": "N", "v": "m s-1", "y": "m"}
        assert all(abs(x - 0.01) < 0.004 for x in trace.scores["rmse"].values())
    ours, theirs = found.published
    assert ours[0] == "this fit" and theirs == ("theirs", {"other (mm)": 20.0})
    assert ours[1]["other (mm)"] == 1000 * found.traces[-1].scores["rmse"]["v"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("fit.states=first data.train=[{name:a,known:4}]", "converged"),
        ("fit.states=fixed model.initial.position=0.5", "converged"),
        ("fit.starts=4 fit.width=0.3 fit.parameters.mass=positive", "4 starts:"),
        ("fit.segments=3", "3 segments meet"),
        ("fit.stages=[[mass,damping,stiffness],[cubic]]", "2 stages: converged after"),
        (
            "fit.parameters.mass=[0.5,3] fit.parameters.damping={mean:0.4,sd:0.1} "
            "fit.profile=[mass,damping]",
            "converged",
        ),
    ],
    ids=["first", "fixed", "starts", "segments", "stages", "kinds"],
)
def test_other_ways_to_search(quick, how, says):
    write_record()
    code, found, output = quick(*PLAIN, *how.split())
    assert code == 0 and says in found.sentences[0], output
    # Four samples tell the initial state less well than all of them.
    check_near(found, 4.0 if "first" not in how else 20.0)
    assert ("states[0].position" in found.names) == ("states=" not in how)
    assert len(found.profile) == (len(found.names) if "profile" in how else 0)
    for (low, high), at, error in zip(
        found.profile[:2], found.value, found.standard_error, strict=False
    ):
        np.testing.assert_allclose(
            [low, high], [at - 1.97 * error, at + 1.97 * error], atol=0.3 * error
        )
        assert f"{low:.3f}"[:4] in output and "by profile" in output
    assert np.isnan(found.profile[2:]).all()


def test_ties_and_fixed_parameters(quick):
    write_record()
    code, found, output = quick(
        *PLAIN,
        "integrator=euler",
        "fit.parameters.cubic=fixed",
        "fit.parameters.damping='= stiffness'",
        "fit.parameters.stiffness=positive",
    )
    assert code == 0, output
    # The interval of what is positive is one of its logarithm, and its tie has the same.
    ends = np.stack([found.lower, found.upper], axis=1)[
        [found.names.index(n) for n in ("damping", "stiffness")]
    ]
    np.testing.assert_allclose(
        np.prod(ends, axis=1), found.value[found.names.index("stiffness")] ** 2
    )
    assert (ends[:, 0] < ends[:, 1]).all()
    value = dict(zip(found.names, found.value, strict=True))
    error = dict(zip(found.names, found.standard_error, strict=True))
    assert value["damping"] == value["stiffness"] and error["damping"] == error["stiffness"] > 0
    assert value["cubic"] == 1.0 and np.isnan(error["cubic"])


def test_a_linear_model_shares_its_matrices_with_its_output(quick):
    u = force(200, 3)
    A, B, C = [[0.0, 1.0], [-2.0, -0.5]], [[0.0], [1.0]], [[1.0, 0.0], [1.5, 1.0]]
    model = linear.model(A, B, C)
    stepper = euler(model.field, DT)
    x = rollout(
        stepper.step,
        stepper.init(model.initial),
        zero_order_hold(DT * np.arange(200), jnp.asarray(u)),
    )[1].x
    y = np.concatenate([np.ones((1, 2)), np.asarray(x)]) @ np.array(C).T
    write_record(columns={"time": DT * np.arange(200), "u": u, "p": y[:, 0], "q": y[:, 1]})
    code, found, output = quick(
        *FIT,
        "model=linear",
        "data.path=r.csv",
        "data.output=[p,q]",
        "model.A=[[0,1],[-1,-1]]",
        "model.C=[[1,0],[1,1]]",
        "model.initial=[1,1]",
        "fit.parameters.B=fixed",
        "integrator=euler",
    )
    assert code == 0, output
    value = dict(zip(found.names, found.value, strict=True))
    assert "states[0].x[1]" in value and value["B[1, 0]"] == 1
    rmse = found.traces[0].scores["rmse"]
    assert max(rmse.values()) < 1e-4 and value["C[1, 0]"] != 1
    # Of a state space only what does not depend on its coordinates can come back.
    found_A = np.array([[value[f"A[{i}, {j}]"] for j in range(2)] for i in range(2)])
    np.testing.assert_allclose([np.trace(found_A), np.linalg.det(found_A)], [-0.5, 2.0], rtol=1e-3)
    assert "the data determine only a combination" in output
