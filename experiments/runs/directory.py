"""A run's directory, claimed once and never overwritten, and its run.json.

runs/<task>/<YYYYmmdd-HHMMSS>-<6 hex>/
  .hydra/  run.json  run.log  trajectory.nc  trajectory.png  metrics.csv  checkpoints/
"""

import json
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any

from experiments.cli.config import Config


def claim_directory(config: Config, folder: str | None, files: dict[str, str]) -> Path:
    """Make a directory that is this run's alone, with its configuration in ``.hydra/``.

    Args:
        config: the run.
        folder: the directory; None is a new one under ``runs/<task>/``.
        files: the text of each file of ``.hydra/`` by its name.

    Raises:
        FileExistsError: the folder holds something already.
    """
    fresh = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    directory = Path(folder) if folder else Path("runs") / config.task / fresh
    if directory.is_relative_to(Path.cwd()):
        directory = directory.relative_to(Path.cwd())
    check_empty(directory)
    directory.mkdir(parents=True, exist_ok=bool(folder))
    try:  # two runs may both find it empty: the one that makes .hydra has it
        (directory / ".hydra").mkdir()
    except FileExistsError:
        raise FileExistsError(f"output.dir: another run has just claimed {directory}") from None
    for name, text in files.items():
        (directory / ".hydra" / name).write_text(text, encoding="utf-8")
    (directory / "checkpoints").mkdir()
    return directory


def check_empty(directory: Path) -> None:
    """Raise FileExistsError unless a directory is new or empty."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(
            f"output.dir: expected a new or empty directory, got {directory}; "
            "a run is never overwritten"
        )


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write the values so that a reader sees the old file or the new one, never a part."""
    from sim.files import replace_file  # with JAX, which help does without

    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def update_run_json(directory: Path, **values: Any) -> dict[str, Any]:
    """Change or add values of run.json; all its values."""
    path = directory / "run.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known.update(values)
    write_json(path, known)
    return known


def timestamp() -> str:
    """The time now, to the second, with its offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
