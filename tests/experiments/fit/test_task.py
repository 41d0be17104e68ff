"""The task `fit`: parameters come back from records, runs go on after a signal, mistakes are one line."""

import json
import os
import signal
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import lfilter

from experiments.identification.result_file import read_fit
from experiments.run import run
from integrators import euler, rk4
from sim import rollout
from sim.inputs import zero_order_hold
from sim.models import duffing, linear

DT, TRUE = 0.1, duffing.Params(1.5, 0.4, 2.0, 0.7)
FIT = ("task=fit", "output.figure=null", "fit.bands=false")
PLAIN = (
    *FIT,
    "model=duffing",
    "data.path=r.csv",
    "model.params.mass=1",
    "model.params.stiffness=1",
)


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command in a folder of its own; its exit code, the fit that it wrote, and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*argv):
        out = Path("out")
        code = run(argv if argv[0].startswith("resume") else [*argv, "output.dir=out"])
        said = "".join(capsys.readouterr())
        return code, read_fit(out / "fit.nc") if (out / "fit.nc").exists() else None, said

    return command


@pytest.fixture
def quick(scansim, monkeypatch):
    """The same without the drawings of the report, which take most of the time."""
    monkeypatch.setattr("experiments.identification.report.svg_figure", lambda *_: "")
    return scansim


def force(count, seed):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.normal(size=count // 4 + 1), 4)[:count]


@jax.jit
def driven(u):
    stepper = rk4(duffing.model(TRUE).field, DT)
    start = duffing.State(jnp.asarray(0.5), jnp.asarray(0.0))
    held = zero_order_hold(DT * np.arange(u.shape[0]), u)
    return rollout(stepper.step, stepper.init(start), held)[1]


def swing(count=240, seed=0, noise=0.01):
    """Columns of a noisy record of the Duffing oscillator."""
    u = force(240, seed)
    ys = driven(jnp.asarray(u))
    rng = np.random.default_rng(seed + 100)
    found = {"time": DT * np.arange(240), "u": u}
    for name, first, values in (("y", 0.5, ys.position), ("v", 0.0, ys.velocity)):
        found[name] = np.r_[first, np.asarray(values)] + noise * rng.normal(size=240)
    return {name: column[:count] for name, column in found.items()}


def written(path="r.csv", columns=None, **more):
    columns = {**(columns or swing()), **more}
    rows = [
        ",".join("" if np.isnan(x) else repr(float(x)) for x in row)
        for row in zip(*columns.values(), strict=True)
    ]
    Path(path).write_text("\n".join([",".join(columns), *rows]))


def near(found, errors=4.0):
    """Each parameter within some standard errors of the truth, and these are small."""
    value = dict(zip(found.names, zip(found.value, found.standard_error, strict=True), strict=True))
    for name, true in TRUE._asdict().items():
        assert abs(value[name][0] - true) < errors * value[name][1], (name, value[name])
        assert value[name][1] < 0.05
    return value


def test_a_plain_line_gives_parameters_a_file_a_report_and_a_figure(scansim):
    written()
    code, found, said = scansim(
        "task=fit", "model=duffing", "data.path=r.csv", "data.input=u", "data.output=y"
    )
    assert code == 0, said
    near(found)
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
    told = json.loads(Path("out/run.json").read_text())
    assert told["status"] == "done" and told["steps"] == len(found.loss) - 1 > 3
    assert "± " in said and "N s m-1" in said and "out/report.html" in said and "0.01" in said


def test_intervals_count_the_memory_of_a_residual_that_is_not_white(quick):
    columns = swing(noise=0.0)
    columns["y"] += 0.002 * lfilter([1], [1, -0.95], np.random.default_rng(5).normal(size=240))
    written(columns=columns)
    code, found, said = quick(
        *PLAIN, "data.input=u", "data.output=y", "fit.bands=true", "fit.profile=[mass]"
    )
    assert code == 0, said
    near(found)
    (words,) = [text for text in found.sentences if "not white" in text]
    assert found.sentences[-1].startswith("the intervals by profile take the residual as white")
    assert np.ptp(found.profile[0]) < 0.8 * (found.upper[0] - found.lower[0])
    assert float(words.split(" times as wide")[0].split()[-1]) > 1.3 and words in said.replace(
        "\n", " "
    )
    white = 0.25 * np.std(found.traces[0].simulated["y"])
    assert found.traces[0].band["y"].max() < white


def test_a_robust_loss_leaves_gross_errors_out(quick):
    columns = swing()
    columns["y"][::20] = 3.0
    written(columns=columns)
    code, found, said = quick(*PLAIN, "data.input=u", "data.output=y", "fit.loss=student_t")
    assert code == 0, said
    near(found)


def test_parts_files_gaps_and_several_outputs(quick):
    """Two files, one with gaps in either output; a part to validate with, and one to test with."""
    gaps = swing(seed=1)
    gaps["y"][50:90], gaps["v"][:30] = np.nan, np.nan
    written("a.csv"), written("b.csv", gaps), written("c.csv", swing(seed=2))
    code, found, said = quick(
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
    assert code == 0, said
    near(found)
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
            "fit.parameters.mass=[0.5,3] fit.parameters.damping={mean:0.4,sd:0.1} fit.profile=[mass,damping]",
            "converged",
        ),
    ],
    ids=["first", "fixed", "starts", "segments", "stages", "kinds"],
)
def test_other_ways_to_search(quick, how, says):
    written()
    code, found, said = quick(*PLAIN, *how.split())
    assert code == 0 and says in found.sentences[0], said
    # Four samples tell the initial state less well than all of them.
    near(found, 4.0 if "first" not in how else 20.0)
    assert ("states[0].position" in found.names) == ("states=" not in how)
    assert len(found.profile) == (len(found.names) if "profile" in how else 0)
    for (low, high), at, error in zip(
        found.profile[:2], found.value, found.standard_error, strict=False
    ):
        np.testing.assert_allclose(
            [low, high], [at - 1.97 * error, at + 1.97 * error], atol=0.3 * error
        )
        assert f"{low:.3f}"[:4] in said and "by profile" in said
    assert np.isnan(found.profile[2:]).all()


def test_ties_and_fixed_parameters(quick):
    written()
    code, found, said = quick(
        *PLAIN,
        "integrator=euler",
        "fit.parameters.cubic=fixed",
        "fit.parameters.damping='= stiffness'",
        "fit.parameters.stiffness=positive",
    )
    assert code == 0, said
    # The interval of what is positive is one of its logarithm, and its tie has the same.
    ends = np.stack([found.lower, found.upper], axis=1)[
        [found.names.index(n) for n in ("damping", "stiffness")]
    ]
    np.testing.assert_allclose(
        np.prod(ends, axis=1), found.value[found.names.index("stiffness")] ** 2
    )
    assert (ends[:, 0] < ends[:, 1]).all()
    value, error = dict(zip(found.names, found.value)), dict(zip(found.names, found.standard_error))
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
    written(columns={"time": DT * np.arange(200), "u": u, "p": y[:, 0], "q": y[:, 1]})
    code, found, said = quick(
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
    assert code == 0, said
    value = dict(zip(found.names, found.value, strict=True))
    assert "states[0].x[1]" in value and value["B[1, 0]"] == 1
    rmse = found.traces[0].scores["rmse"]
    assert max(rmse.values()) < 1e-4 and value["C[1, 0]"] != 1
    # Of a state space only what does not depend on its coordinates can come back.
    found_A = np.array([[value[f"A[{i}, {j}]"] for j in range(2)] for i in range(2)])
    np.testing.assert_allclose([np.trace(found_A), np.linalg.det(found_A)], [-0.5, 2.0], rtol=1e-3)
    assert "the data determine only a combination" in said


class Signal:
    """A signal that comes when something has been called n times."""

    def __init__(self, monkeypatch, where, name, n):
        inner, self.left = getattr(where, name), n

        def counted(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return inner(*args, **kwargs)

        monkeypatch.setattr(where, name, counted)


def test_a_stopped_fit_goes_on_bit_for_bit(quick, monkeypatch):
    written()
    more = (
        "integrator=euler",
        "data.output=[y,v]",
        "data.observed=[position,velocity]",
        "fit.tolerance=1e-14",
    )
    code, whole, said = quick(*PLAIN, *more)
    assert code == 0, said
    Path("out").rename("whole")
    with monkeypatch.context() as patched:
        import sim.fit

        Signal(patched, sim.fit, "save", 2)
        code, found, said = quick(*PLAIN, *more)
    assert (code, found) == (75, None) and "go on with: scansim resume=out" in said, said
    assert "5 evaluations of a fit, float64" in said
    assert json.loads(Path("out/run.json").read_text())["status"] == "stopped"
    written(columns=swing(seed=5))
    code, _, said = quick("resume=out")
    assert (
        code == 2
        and said
        == "scansim: resume: the records are not those that out began with; begin it again\n"
    )
    written()
    code, found, said = quick("resume=out")
    assert code == 0, said
    assert len(found.loss) == len(whole.loss) > 6
    np.testing.assert_equal(tuple(found._replace(seconds={})), tuple(whole._replace(seconds={})))


def test_a_signal_ends_a_search_that_keeps_no_checkpoint(quick, monkeypatch):
    written()
    Signal(monkeypatch, sys.modules["sim.fit.search.multistart"], "_advance_batch", 3)
    code, found, said = quick(*PLAIN, "integrator=euler", "fit.starts=4")
    assert (code, found) == (130, None)
    assert "fit.starts" in said and "Traceback" not in said and said.count("\n") <= 2
    code, _, said = quick("resume=out")
    assert code == 4 and "before its first checkpoint" in said


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (
            "fit.parameters.mas=positive",
            2,
            "fit.parameters: there is no 'mas'; did you mean 'mass'?",
        ),
        ("fit.parameters.mass=[2,3]", 2, "fit.parameters: mass: "),
        (
            "fit.parameters.mass=postive",
            2,
            "fit.parameters: mass: no kind 'postive'; did you mean 'positive'?",
        ),
        ("data.train=[{name:a,rows:[0,4]}]", 2, "samples for 4 parameters and 2 initial states"),
        ("data.train=[{name:a,rows:[0,400]}]", 2, "expected rows within the 240 of"),
        ("data.test=[{name:a,rows:[200,400]}]", 2, "expected rows within the 240 of"),
        ("data.test_path=no.csv data.test=[{name:a}]", 4, "data.path: no such file"),
        ("data.train=[]", 2, "data.train: expected at least one part"),
        ("data.train=[{nam:a}]", 2, "data.train[0].nam: unknown key; did you mean"),
        ("data.output=e", 4, "data.output: "),
        (
            "data.input=huge",
            4,
            "column 'huge' of training is 1e+200 in size, too large to square in float64; scale it",
        ),
        (
            "data.input=wee",
            4,
            "column 'wee' of training is 1e-200 in size, too small to square in float64; scale it",
        ),
        (
            "fit._target_=experiments.fit.options.fit_optons",
            2,
            "fit._target_: experiments.fit.options has no 'fit_optons'; did you mean 'fit_options'?",
        ),
        ("data._target_=json.load", 2, "data._target_: 'json.load' is refused"),
        ("data.output=z", 2, "data.output: no column 'z' in"),
        ("data.output=[]", 2, "data.output: expected at least one column"),
        ("data.input=[u,v]", 2, "data.input: expected 1 column for duffing (force), got 2: u, v"),
        ("data.input=[]", 2, "data.input: expected 1 column for duffing (force), got 0"),
        ("data.input=e", 4, "an input cannot have gaps"),
        (
            "data.observed=[positon]",
            2,
            "data.observed: duffing has no quantity 'positon'; did you mean 'position'?",
        ),
        (
            "data.observed=[position,velocity]",
            2,
            "data.observed: expected one quantity for each of 1 columns",
        ),
        ("data.output=[y,v,u]", 2, "data.observed: expected one quantity for each of 3 columns"),
        (
            "data.time=null",
            2,
            "dt: expected the record's sample interval in s, because data.time is null",
        ),
        ("dt=0.2", 2, "dt: expected 0.1, the sample interval of"),
        ("dt=-0.1", 2, "dt: expected"),
        ("duration=5", 2, "duration: expected nothing for task=fit"),
        ("input=sine", 2, "input: expected none for task=fit, which takes model"),
        ("estimator=local_level", 2, "estimator: expected none for task=fit"),
        ("output.keep=[mean]", 2, "output.keep: expected null for task=fit"),
        ("fit.loss=hubber", 2, "fit.loss: expected one of squares, huber, student_t, got 'hubber'"),
        ("fit.states=frist", 2, "fit.states: expected one of free, fixed, first"),
        ("fit.states=first data.train=[{name:a,known:500}]", 2, "data: known: expected samples"),
        ("fit.starts=4 fit.segments=2", 2, "fit.segments: expected 1 where starts is more than 1"),
        ("fit.stages=[[mass],[cubc]]", 2, "fit.stages: there is no 'cubc'; did you mean 'cubic'?"),
        ("fit.stages=[[mass],[]]", 2, "fit.stages: expected lists of names, at least one in each"),
        ("fit.stages=[mass,cubic]", 2, "fit.stages[0]: expected a list, got 'mass'"),
        (
            "fit.stages=[[mass],[cubic]] fit.parameters.mass=fixed",
            2,
            "fit.stages: expected a first stage with a parameter to search, got mass, fixed or tied",
        ),
        (
            "fit.stages=[[mass]] fit.starts=4",
            2,
            "fit.stages: expected [] where starts is more than 1",
        ),
        (
            "fit.profile=[mas]",
            2,
            "fit.profile: no parameter 'mas' is searched; did you mean 'mass'?",
        ),
        ("fit.profile=mass", 2, "fit.profile: expected a list, got 'mass'"),
        (
            "fit.starts=4 fit.states=fixed",
            2,
            "fit.states: expected free where starts is more than 1",
        ),
        ("fit.steps=0", 2, "fit.steps: expected a whole number of at least 1"),
        (
            "model.params.mass=0.00001",
            2,
            "model.params: expected parameters with which the model stays finite",
        ),
        (
            "model=lorenz",
            2,
            "data.input: expected 0 columns for lorenz (it takes no input), got 1: u",
        ),
        ("data=recrod", 2, "data: unknown option 'recrod'; did you mean 'record'?"),
        ("data.pat=x", 2, "data.pat: unknown key; did you mean 'data.path'?"),
        ("fit.step=3", 2, "did you mean 'fit.steps'?"),
        ("data.path=no.csv", 4, "data.path: no such file: "),
        (
            "fit.parameter.mass=positive",
            2,
            "fit.parameter.mass: unknown key; did you mean 'fit.parameters'?",
        ),
        ("fit.tolerance=-1", 2, "fit.tolerance: expected a number of at least 0, got -1"),
        ("fit.width=0 fit.starts=2", 2, "fit.width: expected a number above 0, got 0"),
        (
            "fit.segments=500",
            2,
            "fit.segments: expected at most the 239 steps of the longest experiment, got 500",
        ),
        ("model.params.mass=0.00001 substeps=2", 2, "a run that diverges in steps of 0.05 s"),
        ("seed=4294967296", 2, "seed: expected a whole number below 2**32, got 4294967296"),
        ("data.output=[y,y]", 2, "data.output: expected each column once, got two of the name 'y'"),
        (
            "data.validation=[{rows:[0,50]}]",
            2,
            "data: expected each part once, got two of the name 'training'",
        ),
        (
            "data.train=[{name:a,known:-3}]",
            2,
            "data: a: expected known samples of at least 0, got -3",
        ),
        (
            "data.published={theirs:3}",
            2,
            "data.published: expected numbers by the name of a test, got theirs: 3",
        ),
        (
            "data.published={theirs:{a:b}}",
            2,
            "data.published: expected numbers by the name of a test, got theirs: {'a': 'b'}",
        ),
        ("data.path=null", 2, "data.path: this run needs a recorded file."),
        ("data.hold=zero", 2, "data.hold: expected one of zero_order, first_order"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(quick, argv, code, message):
    written(
        e=np.full(240, np.nan),
        huge=np.where(np.arange(240) == 3, 1e200, 0.0),
        wee=np.full(240, 1e-200),
    )
    got, found, said = quick(*FIT, "model=duffing", "data.path=r.csv", *argv.split())
    assert (got, found) == (code, None) and message in said, said
    assert said.startswith("scansim: ") and said.count("\n") <= 2 and not Path("out").exists()


@pytest.mark.parametrize("name", ["silverbox", "cascaded_tanks_fit", "emps"])
def test_a_recipe_without_a_record_says_where_it_is(quick, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "nonlinear_benchmarks", None)
    code, _, said = quick(f"experiment={name}")
    assert code == 2 and "nonlinearbenchmark.org" in said and "data.path=FILE" in said
    assert "scansim[records]" in said and said.count("\n") == 2 and not Path("out").exists()


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
    code, found, said = quick("experiment=cascaded_tanks_fit", *QUICK)
    assert code == 0, said
    assert [(t.name, len(t.time), t.time[1]) for t in found.traces] == [
        ("training", 400, 4.0),
        ("test", 200, 4.0),
    ]
    assert found.traces[1].scores["rmse"]["y"] == found.published[0][1]["test (V)"] < 3
    np.testing.assert_array_equal(found.traces[0].measured["y"], record[:, 2])
    assert found.published[1] == ("grey box, Rogers 2017", {"test (V)": 0.18})
    assert "fixed" in said and found.units[:3] == ("s-1", "V0.5 s-1", "V0.5 s-1")


def test_the_silverbox_by_way_of_the_package(quick, shared, monkeypatch):
    """The record is whole there; its rows are those of the file."""
    path = shared / "data" / "silverbox.csv"
    part = np.loadtxt(path, delimiter=",", skiprows=1 + 40650, max_rows=1000)
    whole = np.full((131072, 2), np.nan)
    whole[40650:41650] = part
    package = types.SimpleNamespace(Silverbox=lambda train_test_split: Loaded(*whole.T, 1 / 610.35))
    monkeypatch.setitem(sys.modules, "nonlinear_benchmarks", package)
    code, found, said = quick(
        "experiment=silverbox",
        *QUICK,
        "substeps=1",
        "data.test=[]",
        "data.train=[{name: training, rows: [40650, 41650]}]",
    )
    assert code == 0, said
    assert found.traces[0].time[1] == 0.0016384 and found.traces[0].units == {"u": "V", "y": "V"}
    np.testing.assert_array_equal(found.traces[0].measured["y"], part[:, 1])
    assert not found.published and found.loss[-1] < 0.1 * found.loss[0]


def test_the_positioning_system_by_its_file(quick, shared):
    code, found, said = quick(
        "experiment=emps",
        *QUICK,
        f"data.path={shared / 'data' / 'emps_train.csv'}",
        "data.train=[{name: training, rows: [0, 2000], known: 20}]",
    )
    assert code == 0, said
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
    code, _, said = quick("experiment=cascaded_tanks_fit")
    assert code == 4 and said.count("\n") == 1 and "RuntimeError: unable to download" in said


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
    written()
    more = (*FIT, "model=duffing", "allow=[loaders]", "fit.steps=1", "integrator=euler")
    code, _, said = quick(*more, "data._target_=loaders.number")
    assert code == 2 and said == (
        "scansim: data._target_: expected a function that returns an experiments.identification.data.Data, "
        "got one that returns int\n"
    )
    code, found, said = quick(*more, "data._target_=loaders.load", "data.file=r.csv")
    assert code == 0 and found.traces[0].measured["y"].shape == (240,), said


def test_units_of_a_file_are_told_not_converted(quick):
    import xarray

    columns = swing()
    units = {"time": "min", "u": "kg m/s2", "y": "mm"}
    columns["time"] = columns["time"] / 60
    dataset = xarray.Dataset(
        {name: ("time", columns[name], {"units": unit}) for name, unit in units.items()}
    )
    dataset.to_netcdf("r.nc", engine="netcdf4")
    code, found, said = quick(*PLAIN, "data.path=r.nc")
    assert code == 0, said
    near(found)
    assert found.traces[0].units == {"u": "kg m/s2", "y": "mm"}
    assert [s for s in found.sentences if s.startswith("units: ")] == [
        "units: column 'u' is in kg m/s2, force of duffing in N; no number was converted",
        "units: column 'y' is in mm, position of duffing in m; no number was converted",
    ]


def test_what_the_data_cannot_tell_is_said(quick):
    """No force: of mass, damping and springs only the ratios are seen."""
    still = swing(120)
    at, noise = still["time"], 0.01 * np.random.default_rng(0).normal(size=120)
    still |= {"u": 0 * at, "y": 0.5 * np.exp(-0.2 * at) * np.cos(2 * at) + noise}
    written(columns=still)
    code, found, said = quick(*PLAIN, "data.validation=[{name: short, rows: [0, 40], known: 50}]")
    assert code == 0, said
    assert " the data determine only a combination of them" in said
    assert "the input u is 0 throughout" in said and "not determined" in said
    assert "short was not scored: " in said and np.isinf(found.standard_error[0])


def test_a_search_leaves_where_the_model_diverges(quick):
    written()
    code, found, said = quick(*PLAIN, "model.params.stiffness=4", "model.params.cubic=2")
    assert code == 0, said
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
    written()
    code, found, said = quick(
        *FIT,
        "model._target_=fragile.model",
        "allow=[fragile]",
        "data.path=r.csv",
        "data.input=[]",
        "integrator=euler",
        "fit.states=fixed",
    )
    assert code == 5 and found.value.tolist() == [1.0], said
    last = said.strip().splitlines()[-1]
    assert last.startswith(
        "scansim: the loss turned non-finite wherever the search would go on, after evaluation 12"
    )
    told = json.loads(Path("out/run.json").read_text())
    assert (told["status"], told["exit_code"]) == ("not finite", 5) and Path(
        "out/report.html"
    ).exists()
