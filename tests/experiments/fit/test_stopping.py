"""A stopped fit goes on bit for bit; a search without checkpoints ends at once."""

import json
import sys
from pathlib import Path

import numpy as np

from tests.experiments.fit.records import PLAIN, Signal, duffing_record, write_record


def test_a_stopped_fit_goes_on_bit_for_bit(quick, monkeypatch):
    write_record()
    more = (
        "integrator=euler",
        "data.output=[y,v]",
        "data.observed=[position,velocity]",
        "fit.tolerance=1e-14",
    )
    code, whole, output = quick(*PLAIN, *more)
    assert code == 0, output
    Path("out").rename("whole")
    with monkeypatch.context() as patched:
        import sim.fit

        Signal(patched, sim.fit, "save", 2)
        code, found, output = quick(*PLAIN, *more)
    assert (code, found) == (75, None) and "go on with: scansim resume=out" in output, output
    assert "5 evaluations of a fit, float64" in output
    assert json.loads(Path("out/run.json").read_text())["status"] == "stopped"
    write_record(columns=duffing_record(seed=5))
    code, _, output = quick("resume=out")
    assert (
        code == 2
        and output
        == "scansim: resume: the records are not those that out began with; begin it again\n"
    )
    write_record()
    code, found, output = quick("resume=out")
    assert code == 0, output
    assert len(found.loss) == len(whole.loss) > 6
    np.testing.assert_equal(tuple(found._replace(seconds={})), tuple(whole._replace(seconds={})))


def test_a_signal_ends_a_search_that_keeps_no_checkpoint(quick, monkeypatch):
    write_record()
    Signal(monkeypatch, sys.modules["sim.fit.search.multistart"], "_advance_batch", 3)
    code, found, output = quick(*PLAIN, "integrator=euler", "fit.starts=4")
    assert (code, found) == (130, None)
    assert "fit.starts" in output and "Traceback" not in output and output.count("\n") <= 2
    code, _, output = quick("resume=out")
    assert code == 4 and "before its first checkpoint" in output
