"""A record, and commands of the task `learn`, run in a folder that holds it."""

from pathlib import Path

import numpy as np
import pytest

from experiments.identification import report
from experiments.identification.result_file import read_fit
from experiments.run import run
from tests.experiments.learn.records import write_record


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
    """Run a command beside the record; return its exit code, its report and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(report, "svg_figure", lambda *_: "")  # the drawings take most of the time
    write_record("r.csv", recorded)

    def command(*argv):
        out = Path("out")
        code = run(argv if argv[0].startswith("resume") else [*argv, "output.dir=out"])
        return (
            code,
            read_fit(out / "learn.nc") if (out / "learn.nc").exists() else None,
            "".join(capsys.readouterr()),
        )

    return command
