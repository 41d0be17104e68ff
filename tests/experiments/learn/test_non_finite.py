"""A loss that is not finite leaves the last good weights."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from sim import rnn
from tests.experiments.learn.records import LEARN, SMALL


def test_a_loss_that_is_not_finite_is_said_with_its_place(scansim):
    """A step far too long ends nowhere: the weights of before are kept."""
    code, found, output = scansim(
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
    assert code == 0 and np.isfinite(found.loss).all(), output
    assert re.search(
        r"the loss was not finite in \d+ places?, last in pass [12](, window \d)?: they were left",
        output,
    )
    assert np.isfinite(found.traces[0].simulated["y"]).all()


SLOPELESS = """
import jax.numpy as jnp
from experiments.learn.networks import Network
from sim import Stepper

def one():
    return Network("a root", lambda *sizes: jnp.full(1, 0.9), stepper)

def stepper(p):  # finite, but below 1 it has no slope
    def step(c, u):
        return c, p * u[:1] + jnp.sqrt(jnp.maximum(p - 1, 0))

    return Stepper(lambda: jnp.zeros(0), step)
"""


@pytest.mark.parametrize(
    "how", [SMALL[2:], ("learn=least_squares", "learn.warmup=10")], ids=["windows", "levenberg"]
)
def test_a_training_that_stays_non_finite_has_an_exit_code_of_its_own(scansim, monkeypatch, how):
    """It writes every file, with the last good weights."""
    Path("roots.py").write_text(SLOPELESS)
    monkeypatch.syspath_prepend(Path.cwd())
    more = (
        *LEARN,
        *how,
        "network._target_=roots.one",
        "allow=[roots]",
        "data.test=[{name: late, rows: [60, 70], known: 10}]",
    )
    code, found, output = scansim(
        *more, "learn.passes=40" if "learn=least_squares" not in how else "learn.steps=40"
    )
    assert code == 5 and len(found.loss) < 40, output
    assert (
        "late was not scored: data: known: expected fewer known samples than its 10, got 10"
        in output
    )
    last = output.strip().splitlines()[-1]
    assert re.match(
        r"scansim: the loss turned non-finite, last in (pass 1\d, window \d|evaluation 12), "
        r"and stayed so",
        last,
    )
    run_json = json.loads(Path("out/run.json").read_text())
    assert (run_json["status"], run_json["exit_code"], run_json["message"]) == (
        "not finite",
        5,
        last.removeprefix("scansim: "),
    )
    assert (
        rnn.load("out/network.nc").params
        and Path("out/report.html").stat().st_size
        and "out/network.nc" in output
    )
    assert np.isfinite(found.traces[0].simulated["y"]).all()
    code, _, output = scansim("resume=out", "allow=[roots]")
    assert code == 2 and "which is not finite" in output and output.count("\n") == 1
