"""A mistake is one line on stderr, and leaves no directory behind."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.learn.records import LEARN, write_record


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
            "and 0 initial states; a prior counts as samples do: network.prior; or a record of "
            "its own ends the training in time: data.validation",
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
            "learn.states=free network=elman network.hidden=2 "
            "data.test=[{name:t,rows:[60,100],known:1}]",
            2,
            "learn.states: expected fixed, as the 1 known samples of t cannot tell the 2 numbers "
            "of a state",
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
    write_record(
        "r.csv",
        recorded
        | {
            "e": np.full(100, np.nan),
            "huge": huge,
            "still": np.ones(100),
            "far": 1e9 + np.linspace(0, 99 / 59, 100),
        },
    )
    got, found, output = scansim(*LEARN, "learn.warmup=10", *argv.split(" "))
    assert (got, found) == (code, None) and message in output, output
    assert output.startswith("scansim: ") and output.count("\n") <= 2 and not Path("out").exists()


@pytest.mark.parametrize(
    "name",
    ["silverbox_network", "silverbox_hybrid", "cascaded_tanks_network", "cascaded_tanks_hybrid"],
)
def test_a_recipe_without_a_record_says_where_it_is(scansim, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "nonlinear_benchmarks", None)
    code, _, output = scansim(f"experiment={name}")
    assert (
        code == 2
        and "nonlinearbenchmark.org" in output
        and "data.path=FILE" in output
        and not Path("out").exists()
    )
