"""What an earlier version stored still opens, resumes and gives the same numbers."""

import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

# These names are not public: if one moves, only this import changes.
from experiments.identification.result_file import read_fit
from experiments.learn.saved import load_network
from experiments.run import run
from integrators import rk4
from sim import rnn, rollout
from sim.fit import Prior, Simulation, fit, load, sampled
from sim.inputs import cubic, zero_order_hold
from sim.models import duffing
from sim.netcdf import read

STORED = Path(__file__).resolve().parent.parent / "stored"
RECORD = STORED / "record.csv"
EXPECTED = json.loads((STORED / "expected.json").read_text(encoding="utf-8"))


def assert_close(numbers, expected):
    """Compare numbers to those that the earlier version gave."""
    # Another machine may round differently, and a search amplifies that.
    np.testing.assert_allclose(numbers, expected, rtol=1e-6, atol=1e-7)


def assert_file_holds(path, expected):
    """Compare the last numbers of some variables of a file."""
    data = read(path)
    for name, value in expected.items():
        assert_close(np.ravel(data[name])[-len(value) :], value)


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder, and return its exit code and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*argv):
        code = run([word.replace("@RECORD@", str(RECORD)) for word in argv])
        return code, "".join(capsys.readouterr())

    return command


@pytest.fixture
def resumed(scansim):
    """Resume a copy of a stopped run, and return its folder."""

    def resume(name):
        folder = Path(shutil.copytree(STORED / name, name))
        for path in folder.glob(".hydra/*.yaml"):
            path.write_text(
                path.read_text(encoding="utf-8").replace("@RECORD@", str(RECORD)), encoding="utf-8"
            )
        assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"] == "stopped"
        code, output = scansim(f"resume={name}")
        assert code == 0, output
        assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"] == "done"
        return folder

    return resume


def run_freely(path):
    """Simulate a stored network over the record, and return every tenth output."""
    stepper = load_network(path)
    u = jnp.asarray(np.loadtxt(RECORD, delimiter=",", skiprows=1)[:60, 1])
    if not rnn.load(path).config["model"]:
        return np.asarray(rollout(stepper.step, stepper.init(), u[:, None])[1])[::10, 0].tolist()
    start = stepper.init(duffing.State(*map(jnp.asarray, (0.5, 0.0))))
    ys = rollout(stepper.step, start, zero_order_hold(0.1 * np.arange(60), u))[1]
    return np.asarray(ys.position)[::10].tolist()


def model(p):
    """Step the oscillator whose search is stored."""
    return rk4(Partial(duffing.duffing, p), 0.1)


def observe(p, state, u):
    """Measure its position."""
    return state.position[None]


def fit_stored_problem(**options):
    """Run the fit whose search is stored, with further options of `fit`."""
    t, u, y = np.loadtxt(RECORD, delimiter=",", skiprows=1)[:120].T
    return fit(
        Simulation(model, observe),
        duffing.Params(1.0, 0.2, 1.0, 0.3),
        sampled(t, jnp.asarray(u), y, hold=cubic),
        states=duffing.State(0.4, 0.1),
        parameters={"mass": "positive", "damping": (0.01, 3.0), "cubic": Prior(0.7, 0.5)},
        **options,
    )


def test_a_stopped_simulation_goes_on(resumed):
    assert_file_holds(resumed("simulate") / "trajectory.nc", EXPECTED["simulate"])


def test_a_stopped_fit_goes_on(resumed):
    assert_file_holds(resumed("fit") / "fit.nc", EXPECTED["fit"])


def test_a_stopped_training_goes_on_to_the_same_network(resumed):
    folder = resumed("learn")
    assert_file_holds(folder / "learn.nc", EXPECTED["learn"])
    assert_close(run_freely(folder / "network.nc"), EXPECTED["networks"]["network"])


def test_a_finished_estimate_opens_and_is_not_resumed(scansim):
    assert_file_holds(STORED / "estimate" / "trajectory.nc", EXPECTED["estimate"])
    assert_file_holds(STORED / "estimate" / "forecast.nc", EXPECTED["forecast"])
    code, output = scansim(f"resume={STORED / 'estimate'}")
    assert code == 2 and "which is done" in output


@pytest.mark.parametrize("name", ["fit", "learn"])
def test_a_finished_file_opens(name):
    assert_file_holds(STORED / f"{name}.nc", EXPECTED[name])
    assert read_fit(STORED / f"{name}.nc").traces[0].name == "training"


@pytest.mark.parametrize("name", EXPECTED["networks"])
def test_a_stored_network_is_a_stepper_again(name):
    path = STORED / f"{name}.nc"
    assert rnn.load(path).config["network"]["_target_"].startswith("experiments.learn_networks.")
    assert_close(run_freely(path), EXPECTED["networks"][name])


def test_a_stored_search_goes_on():
    search = load(STORED / "search.npz", fit_stored_problem(steps=0).search)
    assert int(search.search.steps) == 3
    found = fit_stored_problem(search=search)
    assert_close(
        [*found.params, *found.uncertainty.standard_error, *found.noise], EXPECTED["search"]
    )


@pytest.mark.parametrize("target", EXPECTED["targets"])
def test_a_piece_is_found_by_the_path_it_had(scansim, target):
    """Only a piece that was found can say that it has no such key."""
    group, task = EXPECTED["targets"][target]
    code, output = scansim(*task, f"{group}._target_={target}", f"{group}.nonsense=1")
    assert code == 2 and f"{group}." in output and ": unknown key" in output, output
