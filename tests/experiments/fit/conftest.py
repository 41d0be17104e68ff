"""Commands of the task `fit`, run in a folder of their own."""

from pathlib import Path

import pytest

from experiments.identification.result_file import read_fit
from experiments.run import run


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command in a folder of its own; return its exit code, its report and its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*argv):
        out = Path("out")
        code = run(argv if argv[0].startswith("resume") else [*argv, "output.dir=out"])
        output = "".join(capsys.readouterr())
        return code, read_fit(out / "fit.nc") if (out / "fit.nc").exists() else None, output

    return command


@pytest.fixture
def quick(scansim, monkeypatch):
    """The same without the drawings of the report, which take most of the time."""
    monkeypatch.setattr("experiments.identification.report.svg_figure", lambda *_: "")
    return scansim
