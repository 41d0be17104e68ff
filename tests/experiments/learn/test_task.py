"""The task `learn`: every network trains, runs go on after a signal, mistakes are one line."""

import json
import os
import re
import signal
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jax.numpy as jnp
import numpy as np
import pytest

import sim.fit
from experiments.identification import report
from experiments.identification.result_file import read_fit
from experiments.learn import saved
from experiments.learn.evaluation import best_members
from experiments.learn.training import least_squares
from experiments.run import run
from sim import rnn, rollout
from sim.fit.search.ensemble import Ensemble
from sim.inputs import zero_order_hold

CONF = Path(__file__).resolve().parents[3] / "conf"
NETWORKS = sorted(
    p.stem for p in (CONF / "network").glob("*.yaml") if p.stem not in ("own", "correction")
)
LEARN = (
    "task=learn",
    "output.figure=null",
    "data.path=r.csv",
    "data.train=[{name: training, rows: [0, 60]}]",
)
HELD = "data.validation=[{name: validation, rows: [60, 100], known: 10}]"
SMALL = (
    "network=elman",
    "network.hidden=2",
    "learn.warmup=10",
    "learn.passes=2",
    "learn.window=30",
)
PLANT = ["network=state_space", "network.hidden=[3]", "learn=least_squares", "learn.warmup=10"]
FIGURE = report.svg_figure


@pytest.fixture(scope="module")
def recorded():
    """Columns of a record: a lag of second order that saturates."""
    rng = np.random.default_rng(0)
    u = np.repeat(rng.normal(size=34), 3)[:100]
    x, y = np.zeros(2), []
    for now in u:
        y.append(2 + np.tanh(x[0]))
        x = np.array([0.8 * x[0] + 0.3 * x[1], -0.2 * x[0] + 0.6 * x[1] + 0.5 * now])
    return {"time": 0.1 * np.arange(100), "u": u, "y": np.array(y) + 0.002 * rng.normal(size=100)}


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys, recorded):
    """Run a command in a folder with the record; its exit code, what it wrote, and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(report, "svg_figure", lambda *_: "")  # the drawings take most of the time
    written("r.csv", recorded)

    def command(*argv):
        out = Path("out")
        code = run(argv if argv[0].startswith("resume") else [*argv, "output.dir=out"])
        return (
            code,
            read_fit(out / "learn.nc") if (out / "learn.nc").exists() else None,
            "".join(capsys.readouterr()),
        )

    return command


def written(path, columns):
    np.savetxt(
        path,
        np.stack(list(columns.values()), 1),
        delimiter=",",
        header=",".join(columns),
        comments="",
    )


def simulated(name, u, **given):
    """What the stepper of a file makes of an input from rest."""
    stepper = saved.load_network(name, **given)
    return np.asarray(rollout(stepper.step, stepper.init(), jnp.asarray(u)[:, None])[1])[:, 0]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_builds_trains_and_is_kept(scansim, name, recorded):
    sizes = (
        ("network.hidden=[2]",)
        if name == "state_space"
        else ("network.hidden=2", "network.layers=1")
    )
    code, found, said = scansim(*LEARN, *SMALL[2:], f"network={name}", *sizes)
    assert code == 0, said
    assert len(found.loss) == 3 and np.isfinite(found.loss).all() and not found.names
    assert sum(found.weights.values()) > 5 and "a network of" in said
    one = simulated("out/network.nc", recorded["u"][:60])
    np.testing.assert_allclose(one, found.traces[0].simulated["y"], rtol=1e-12)
    error = (one - recorded["y"][:60])[10:]
    np.testing.assert_allclose(found.traces[0].scores["rmse"]["y"], np.sqrt(np.mean(error**2)))


def test_a_saturating_plant_is_learned_and_told(scansim, monkeypatch, recorded):
    """Tests are read after the training, and count from the samples on that are known."""
    monkeypatch.setattr(report, "svg_figure", FIGURE)
    other = {name: column[40:] for name, column in recorded.items()}
    written("t.csv", other | {"time": 0.1 * np.arange(60)})
    code, found, said = scansim(
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
    assert code == 0, said
    assert [t.name for t in found.traces] == ["training", "validation", "other"]
    for trace in found.traces:
        assert trace.scores["rmse"]["y"] < 0.08, trace.name  # of a spread of 0.5
    assert (
        found.loss[-1] < 0.1 * found.loss[0] and found.validation.min() < 0.5 * found.validation[0]
    )
    ours, theirs = found.published
    assert theirs == ("theirs", {"other (mV)": 20.0})
    assert ours == ("this fit", {"other (mV)": 1000 * found.traces[2].scores["rmse"]["y"]})
    told = json.loads(Path("out/run.json").read_text())
    assert (
        told["status"] == "done"
        and told["task"] == "learn"
        and told["steps"] == len(found.loss) - 1
    )
    assert "out/network.nc" in said and "training: step" in said and "theirs" in said
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


def test_a_loss_that_is_not_finite_is_said_with_its_place(scansim):
    """A step far too long ends nowhere: the weights of before are kept."""
    code, found, said = scansim(
        *LEARN,
        *SMALL[2:],
        "network=correction",
        "network.hidden=[2]",
        "model=duffing",
        "integrator=euler",
        "learn.rate=1e4",
        "learn.clip=null",
        "learn.schedule=constant",
    )
    assert code == 0 and np.isfinite(found.loss).all(), said
    assert re.search(
        r"the loss was not finite in \d+ places?, last in pass [12](, window \d)?: they were left",
        said,
    )
    assert np.isfinite(found.traces[0].simulated["y"]).all()


SLOPELESS = """
import jax.numpy as jnp
from experiments.learn.networks import Network
from sim import Stepper

def one():
    return Network("a root", lambda *sizes: jnp.full(1, 0.9), stepper)

def stepper(p):  # finite, but below 1 without a slope
    return Stepper(lambda: jnp.zeros(0), lambda c, u: (c, p * u[:1] + jnp.sqrt(jnp.maximum(p - 1, 0))))
"""


@pytest.mark.parametrize(
    "how", [SMALL[2:], ("learn=least_squares", "learn.warmup=10")], ids=["windows", "levenberg"]
)
def test_a_training_that_stays_non_finite_has_an_exit_code_of_its_own(scansim, monkeypatch, how):
    """With the last good weights and every file; one that stops at its limit before that is done."""
    Path("roots.py").write_text(SLOPELESS)
    monkeypatch.syspath_prepend(Path.cwd())
    more = (
        *LEARN,
        *how,
        "network._target_=roots.one",
        "allow=[roots]",
        "data.test=[{name: late, rows: [60, 70], known: 10}]",
    )
    code, found, said = scansim(
        *more, "learn.passes=40" if "learn=least_squares" not in how else "learn.steps=40"
    )
    assert code == 5 and len(found.loss) < 40, said
    assert (
        "late was not scored: data: known: expected fewer known samples than its 10, got 10" in said
    )
    last = said.strip().splitlines()[-1]
    assert re.match(
        r"scansim: the loss turned non-finite, last in (pass 1\d, window \d|evaluation 12), and stayed so",
        last,
    )
    told = json.loads(Path("out/run.json").read_text())
    assert (told["status"], told["exit_code"], told["message"]) == (
        "not finite",
        5,
        last.removeprefix("scansim: "),
    )
    assert (
        rnn.load("out/network.nc").params
        and Path("out/report.html").stat().st_size
        and "out/network.nc" in said
    )
    assert np.isfinite(found.traces[0].simulated["y"]).all()
    code, _, said = scansim("resume=out", "allow=[roots]")
    assert code == 2 and "which is not finite" in said and said.count("\n") == 1


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

    code, found, said = scansim(
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
    assert code == 0, said
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


OWN = """
import jax
from experiments.learn.networks import Network, memoryless
from sim import rnn

def one(width: int = 2):
    def start(key, inputs, outputs, records):
        return rnn.mlp_params(key, (inputs, width, outputs))

    return Network("memoryless", start, memoryless)
"""


def test_members_of_ones_own_stop_and_go_on_bit_for_bit(scansim, monkeypatch, recorded):
    """Two networks in shuffled batches of pieces; their mean is scored, its band is their spread."""
    Path("mynets.py").write_text(OWN)
    monkeypatch.syspath_prepend(Path.cwd())
    more = (
        *LEARN,
        *SMALL[2:],
        "network._target_=mynets.one",
        "network.width=3",
        "allow=[mynets]",
        HELD,
        "learn.passes=4",
        "learn.members=2",
        "learn.combine=mean",
        "learn.length=25",
        "learn.batch=1",
    )
    code, whole, said = scansim(*more)
    assert (
        code == 0
        and sum(whole.weights.values()) == 10
        and "2 members: 2 stopped after 4 passes" in said
    ), said
    trace = whole.traces[0]
    assert (
        trace.band["y"].min() >= 0
        and trace.band["y"].max() > 1e-4
        and trace.simulated["y"].shape == (60,)
    )
    one = simulated("out/network.nc", recorded["u"][:60], allow=["mynets"])
    np.testing.assert_allclose(one, trace.simulated["y"], rtol=1e-12)
    with pytest.raises(ValueError, match="is refused"):
        saved.load_network("out/network.nc")
    least = [float(x) for x in re.search(r"members are ([\d.e-]+), ([\d.e-]+):", said).groups()]
    np.testing.assert_allclose(min(least), whole.validation.min(), rtol=1e-3)
    weights = rnn.load("out/network.nc").params
    Path("out").rename("whole")
    with monkeypatch.context() as patched:
        inner, left = sim.fit.save, [2]

        def save(*arguments):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGTERM)
            return inner(*arguments)

        patched.setattr(sim.fit, "save", save)
        code, found, said = scansim(*more)
    assert (code, found) == (75, None) and "1 pass of a training" in said, said
    config = Path("out/.hydra/config.yaml")
    text = config.read_text()
    config.write_text(text.replace("width: 3", "width: 4"))
    code, found, said = scansim("resume=out", "allow=[mynets]")
    assert code == 2 and "is of another run" in said and said.count("\n") <= 2, said
    config.write_text(text)
    code, found, said = scansim("resume=out", "allow=[mynets]")
    assert code == 0, said
    np.testing.assert_equal(tuple(found._replace(seconds={})), tuple(whole._replace(seconds={})))
    for name, leaf in rnn.load("out/network.nc").params.items():
        np.testing.assert_array_equal(leaf, weights[name])


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (
            "learn.warmup=60",
            2,
            "learn.warmup: expected fewer than the 60 samples of training, got 60",
        ),
        (
            "data.validation=[{name:v,rows:[0,9]}]",
            2,
            "data.validation: v: expected known samples fewer than its 9",
        ),
        ("data.input=[]", 2, "data.input: expected at least one column for a network, got none"),
        ("data.output=[]", 2, "data.output: expected at least one column"),
        ("data.output=e", 4, "data.output: "),
        (
            "data.input=huge runtime=float32",
            4,
            "column 'huge' of training is 1e+25 in size, too large to square in "
            "float32; scale it, or take runtime=float64",
        ),
        (
            "data.output=far runtime=float32",
            4,
            "column 'far' of training varies by 1 beside its size of 1e+09, too little for",
        ),
        (
            "network=elman network.hidden=2 learn.warmup=0 data.train=[{name:a,rows:[0,9]}]",
            2,
            "and 0 initial states; a prior counts as samples do: network.prior; or a record of its own ends the training in time: data.validation",
        ),
        ("network.hidden=0", 2, "network.hidden: expected a whole number of at least 1, got 0"),
        ("network.prior=-1", 2, "network.prior: expected a standard deviation above 0"),
        (
            "network=state_space network.prior=[1,2,3]",
            2,
            "network.prior: expected one number, or one for each of 2",
        ),
        ("network=grru", 2, "network: unknown option 'grru'; did you mean 'gru'?"),
        ("network.cell=gr", 2, "network.cell: expected one of gru, lstm, elman, minimal_gated"),
        ("network._target_=sim.rnn.gru_params network.inputs=1 network.hidden=2", 2, "network"),
        (
            "learn.states=free network=elman network.hidden=2 data.test=[{name:t,rows:[60,100],known:1}]",
            2,
            "learn.states: expected fixed, as the 1 known samples of t cannot tell the 2 numbers of a state",
        ),
        ("learn.states=fre", 2, "learn.states: expected one of fixed, free"),
        (
            "learn=least_squares learn.tolerance=-1",
            2,
            "learn.tolerance: expected a number of at least 0, got -1",
        ),
        (
            "network=state_space network.hidden=[3] data.input=[u,still]",
            2,
            "expected a record that varies, got column 'still' constant",
        ),
        ("learn.combine=mean", 2, "learn.combine: expected best where members is 1"),
        ("learn.passes=0", 2, "learn.passes: expected a whole number of at least 1"),
        ("learn.rate=0", 2, "learn.rate: expected a number above 0"),
        ("learn.step=3", 2, "learn.step: unknown key; "),
        (
            "model=duffing",
            2,
            "model: expected none for task=learn, which takes network, data, learn",
        ),
        ("network=correction", 2, "data.input: expected 0 columns for lorenz"),
        (
            "network=correction model=duffing network.parameters.mas=fixed",
            2,
            "network.parameters: there is no 'mas'; did you mean 'mass'?",
        ),
        (
            "network=correction model=duffing model.params.mass=0.00001",
            2,
            "model.params: expected parameters with which",
        ),
        ("fit=least_squares", 2, "fit: expected none for task=learn"),
        ("duration=5", 2, "duration: expected nothing for task=learn"),
        ("output.keep=[mean]", 2, "output.keep: expected null for task=learn"),
        ("data.path=null", 2, "data.path: this run needs a recorded file."),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(scansim, recorded, argv, code, message):
    huge = np.where(np.arange(100) == 7, -1e25, 0.0)
    written(
        "r.csv",
        recorded
        | {
            "e": np.full(100, np.nan),
            "huge": huge,
            "still": np.ones(100),
            "far": 1e9 + np.linspace(0, 99 / 59, 100),
        },
    )
    got, found, said = scansim(*LEARN, "learn.warmup=10", *argv.split(" "))
    assert (got, found) == (code, None) and message in said, said
    assert said.startswith("scansim: ") and said.count("\n") <= 2 and not Path("out").exists()


@pytest.mark.parametrize(
    "name",
    ["silverbox_network", "silverbox_hybrid", "cascaded_tanks_network", "cascaded_tanks_hybrid"],
)
def test_a_recipe_without_a_record_says_where_it_is(scansim, name, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nonlinear_benchmarks", None)
    code, _, said = scansim(f"experiment={name}")
    assert (
        code == 2
        and "nonlinearbenchmark.org" in said
        and "data.path=FILE" in said
        and not Path("out").exists()
    )
