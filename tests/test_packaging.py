"""The wheel: what is in it, and that it runs from a folder that holds nothing else."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("sim", "integrators", "filters", "conf", "experiments")
BUILD = "from setuptools.build_meta import build_wheel; build_wheel({!r})"


def python(code, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the checkout: a build in place leaves files behind."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("needs setuptools, which builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    leave_out = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
    products = {"build", "dist", "runs", "outputs"}  # of the checkout; experiments/runs is code

    def ignored(path, names):
        return leave_out(path, names) | (products & set(names) if Path(path) == ROOT else set())

    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    done = python(BUILD.format(str(folder)), cwd=folder / "source")
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("scansim-*-py3-none-any.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_every_package_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in ("*.py", "*.yaml")
        for path in (ROOT / package).rglob(pattern)
    }
    assert names == expected
    assert "conf/config.yaml" in names


def test_the_wheel_names_its_command_and_refuses_the_quadratic_jaxlib(wheel):
    texts = {
        name.split("/")[-1]: wheel.read(name).decode()
        for name in wheel.namelist()
        if ".dist-info/" in name
    }
    assert "scansim = experiments.run:main" in texts["entry_points.txt"]
    assert [
        line
        for line in texts["METADATA"].splitlines()
        if "Requires-Dist: jaxlib" in line and "!=0.11.1" in line
    ]


def test_an_unpacked_wheel_runs_from_an_empty_folder(wheel, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    wheel.extractall(site)
    empty.mkdir()
    code = "import experiments.run as run; print(run.__file__); run.main(['duration=1'])"
    done = python(code, cwd=empty, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(site / "experiments" / "run.py")
    assert {path.suffix for path in empty.rglob("trajectory.*")} == {".nc", ".png"}
