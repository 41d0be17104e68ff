"""Fixtures of the tests of the task `estimate`."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.run import run


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; its exit code, run.json's content and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*argv):
        code = run([*argv, "output.dir=out"])
        out, err = capsys.readouterr()
        told = Path("out", "run.json")
        return code, json.loads(told.read_text()) if told.exists() else None, out + err

    return command


@pytest.fixture
def swing(tmp_path):
    """A swing seen at odd times, with gaps and one outlier."""
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.exponential(0.2, 80))
    angle = 0.5 * np.cos(np.sqrt(9.81) * time)
    y = angle + 0.1 * rng.normal(size=80)
    y[[0, 30, 31]], y[50] = np.nan, 9.0
    rows = zip(time, y, angle, strict=True)
    text = "time,y,angle\n" + "".join(f"{t},{'' if np.isnan(v) else v},{a}\n" for t, v, a in rows)
    (tmp_path / "r.csv").write_text(text)
    return time, y, angle
