"""The names of the package: always the functions, whatever is imported, and no cycles."""

import ast
import importlib
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import filters

FOLDER = Path(filters.__file__).parent
EARLIER = {"standardised": "standardise"}  # names that a function had before
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_a_name_is_its_function_whatever_modules_are_imported():
    before = {name: getattr(filters, name) for name in filters.__all__}
    for module in MODULES:
        importlib.import_module(f"filters.{module}")
    for name, value in before.items():
        assert callable(value) and getattr(filters, name) is value, name
        assert value.__name__ == EARLIER.get(name, name) and value.__module__.startswith(
            "filters."
        ), name
        assert value.__doc__, name


def test_every_factory_and_every_filter_is_public():
    files = {getattr(filters, name).__module__.split(".")[1] for name in filters.__all__}
    shared = {"covariance", "manifold", "resampling", "sigma_points"}
    assert set(MODULES) - files <= shared


def test_no_module_imports_itself_by_way_of_others():
    graph = {}
    for module in MODULES:
        tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
        found = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
        assert "filters" not in {n.module for n in found}, module  # the package itself: a cycle
        graph[module] = {n.module.split(".")[1] for n in found if n.module.startswith("filters.")}
    assert list(TopologicalSorter(graph).static_order())


def test_any_module_may_be_imported_first():
    for module in ("filters.rts", "filters.diffuse_smoother", "filters.dataset"):
        code = f"import {module}, filters; assert callable(filters.kalman)"
        subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, check=True)
