"""The files of the task `estimate`: estimates and forecasts by name, whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_dataset(path, dataset, attributes):
    """Write the whole file or none."""
    from sim.netcdf import writer

    with (
        _replace_file(path) as temporary,
        writer(temporary, flush=dataset.sizes["time"], attributes=attributes) as append,
    ):
        append(0, dataset)


@contextmanager
def _replace_file(path: Path) -> Iterator[Path]:
    """A path to write to that becomes ``path`` once all is on the disk."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
