"""A stopped training goes on bit for bit."""

import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

import sim.fit
from experiments.learn import saved
from sim import rnn
from tests.experiments.learn.records import HELD, LEARN, SMALL, simulated

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
    """Two networks in shuffled batches; their mean is scored, with a band from their spread."""
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
    code, whole, output = scansim(*more)
    assert (
        code == 0
        and sum(whole.weights.values()) == 10
        and "2 members: 2 stopped after 4 passes" in output
    ), output
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
    least = [float(x) for x in re.search(r"members are ([\d.e-]+), ([\d.e-]+):", output).groups()]
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
        code, found, output = scansim(*more)
    assert (code, found) == (75, None) and "1 pass of a training" in output, output
    config = Path("out/.hydra/config.yaml")
    text = config.read_text()
    config.write_text(text.replace("width: 3", "width: 4"))
    code, found, output = scansim("resume=out", "allow=[mynets]")
    assert code == 2 and "is of another run" in output and output.count("\n") <= 2, output
    config.write_text(text)
    code, found, output = scansim("resume=out", "allow=[mynets]")
    assert code == 0, output
    np.testing.assert_equal(tuple(found._replace(seconds={})), tuple(whole._replace(seconds={})))
    for name, leaf in rnn.load("out/network.nc").params.items():
        np.testing.assert_array_equal(leaf, weights[name])
