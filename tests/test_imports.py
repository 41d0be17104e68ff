"""The tree, held as the architecture describes it: who imports whom, where loops stand."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# jax <- sim <- {integrators | filters} <- experiments; conf has no code.
BELOW = {
    "sim": {"sim"},
    "integrators": {"sim", "integrators"},
    "filters": {"sim", "filters"},
    "conf": set(),
    "experiments": {"sim", "integrators", "filters", "conf", "experiments"},
}
# Every other package in use, and where it may be imported; "" is anywhere.
HOMES = {
    "jax": [""],
    "jaxlib": ["sim/xla.py"],
    "numpy": [""],
    "scipy": [""],
    # The signal filters of a DataArray are of xarray by their nature, and no package imports them.
    "xarray": ["sim/trajectory.py", "sim/netcdf.py", "filters/iir/dataarray.py"],
    "netCDF4": ["sim/netcdf.py", "sim/arrays.py"],
    "rich": ["sim/progress.py", "experiments/"],
    "optax": ["sim/fit/"],
    "optimistix": ["sim/fit/"],
    "lineax": ["sim/fit/"],
    "diffrax": ["integrators/diffrax_step.py"],
    "hydra": ["experiments/"],
    "omegaconf": ["experiments/"],
    "matplotlib": ["experiments/"],
}
LOOPS = {"scan", "fori_loop", "while_loop"}

TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for package in BELOW
    for path in sorted((ROOT / package).rglob("*.py"))
}
LIBRARY = [
    name.removesuffix("/__init__.py").replace("/", ".")
    for name in TREES
    if name.endswith("/__init__.py") and name.split("/")[0] in ("sim", "integrators", "filters")
]


def imports(tree):
    """(level, dotted name) of every import statement, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


def external(name):
    """The packages a file imports from outside the standard library."""
    tops = {dotted.split(".")[0] for level, dotted in imports(TREES[name]) if not level}
    return tops - set(sys.stdlib_module_names)


@pytest.mark.parametrize("package", BELOW)
def test_imports_point_one_way(package):
    files = [name for name in TREES if name.split("/")[0] == package]
    assert files, f"{package}/ is missing or empty"
    local = {*BELOW, "tests", "benchmarks", "conftest"}
    upward = {name: external(name) & local - BELOW[package] for name in files}
    assert not {name: tops for name, tops in upward.items() if tops}


def test_every_other_package_is_imported_only_at_its_home():
    astray = [
        f"{name} imports {top}"
        for name in TREES
        for top in sorted(external(name) - set(BELOW))
        if not name.startswith(tuple(HOMES.get(top, ())))
    ]
    assert not astray


def test_imports_are_absolute():
    assert not [name for name, tree in TREES.items() if any(level for level, _ in imports(tree))]


def loops(tree):
    """Lines that name `lax.scan`, `lax.fori_loop` or `lax.while_loop`, or import them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in LOOPS:
            named = ast.unparse(node.value).split(".")[-1] == "lax"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jax.lax"):
            named = bool(LOOPS & {alias.name for alias in node.names})
        else:
            named = False
        if named:
            yield node.lineno


def test_compiled_loops_stand_in_rollout_alone():
    found = {name: list(loops(tree)) for name, tree in TREES.items()}
    assert found.pop("sim/rollout.py")
    assert not {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize("package", LIBRARY)
def test_a_package_lists_public_names_that_exist(package):
    module = importlib.import_module(package)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    assert not [name for name in module.__all__ if not hasattr(module, name)]


def test_every_folder_of_code_is_a_package():
    folders = {name.rsplit("/", 1)[0] for name in TREES}
    assert not [folder for folder in sorted(folders) if f"{folder}/__init__.py" not in TREES]


def test_the_library_loads_nothing_that_only_files_figures_or_commands_need():
    heavy = {"xarray", "netCDF4", "pandas", "hydra", "omegaconf", "rich", "matplotlib"}
    code = f"import sys, sim, integrators, filters; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
