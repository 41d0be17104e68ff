"""Datasets written as files, whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_dataset(path: Path, dataset: Any, attributes: Mapping[str, Any]) -> None:
    """Write an `xarray.Dataset` with global attributes, the whole file or none.

    Raises:
        OSError: it cannot be written; the message names the file.
    """
    from sim.files import replace_file
    from sim.netcdf import writer

    with (
        replace_file(path) as temporary,
        writer(temporary, flush=dataset.sizes["time"], attributes=attributes) as append,
    ):
        append(0, dataset)
