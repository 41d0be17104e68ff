"""The version of the code: of scansim, its commit and its packages."""

import importlib.metadata
import platform
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def version() -> str:
    """The version of scansim: of the checkout, if this is one, else of the installed package."""
    if _is_checkout():
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        return tomllib.loads(text)["project"]["version"]
    try:
        return importlib.metadata.version("scansim")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _is_checkout():
    project = ROOT / "pyproject.toml"
    return project.is_file() and 'name = "scansim"' in project.read_text(encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of Python, scansim and the packages on which the numbers of a run depend."""
    names = {
        "jax": "jax",
        "jaxlib": "jaxlib",
        "numpy": "numpy",
        "xarray": "xarray",
        "netCDF4": "netCDF4",
    }
    own = {"python": platform.python_version(), "scansim": version()}
    return own | {key: importlib.metadata.version(name) for key, name in names.items()}


def commit() -> str | None:
    """The commit of the checkout, or None for an installed package."""
    if not _is_checkout() or not (ROOT / ".git").exists():
        return None
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        output = subprocess.check_output(
            describe, cwd=ROOT, stderr=subprocess.DEVNULL, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return output.strip() or None
