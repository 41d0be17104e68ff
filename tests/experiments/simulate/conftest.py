"""Fixtures of the tests of the task `simulate`."""

import json
from pathlib import Path

import pytest

from experiments.run import run


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; its exit code, run.json's content and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*argv, folder="out"):
        code = run([*argv, f"output.dir={folder}"] if folder else argv)
        out, err = capsys.readouterr()
        told = Path(folder or "", "run.json")
        return code, json.loads(told.read_text()) if told.exists() else None, out + err

    return command
