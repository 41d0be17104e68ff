"""Records that the package nonlinear_benchmarks loads."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.records.columns import COLUMN_FORMATS, missing_path


class PackagedRecords(NamedTuple):
    """Records of a benchmark, not split into training and test: the rows are those of its files.

    Attributes:
        names: a name for each record, used where a file has its path.
        read: ``read(name, named)``, columns as `experiments.records.columns.read_columns`
            returns them.
        dt: the sample interval, s.
    """

    names: tuple[str, ...]
    read: Callable[..., dict[str, np.ndarray]]
    dt: float


def load_package(
    name: str | None, about: str | None, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> PackagedRecords:
    """Load records by a function of nonlinear_benchmarks.

    Args:
        name: the function.
        about: what the record is and where it is published.
        inputs, outputs: names for the columns.

    Raises:
        ValueError: no function is named, the package is not installed, or the record has
            another number of columns.
        OSError: the package cannot load the record.
    """
    missing = missing_path(about, COLUMN_FORMATS, "data")
    if name is None:
        raise ValueError(missing)
    try:
        package = importlib.import_module("nonlinear_benchmarks")
    except ImportError:
        raise ValueError(f"{missing}, or install scansim[records], which fetches it") from None
    try:
        loaded = getattr(package, name)(train_test_split=False)
    except Exception as error:  # a download fails in many ways
        raise OSError(
            f"data.package: nonlinear_benchmarks.{name} could not load the record "
            f"({type(error).__name__}: {error}); name its file with data.path"
        ) from None
    records = tuple(loaded) if isinstance(loaded, list | tuple) else (loaded,)
    tables = {}
    for i, record in enumerate(records):
        table = {}
        for key, names, values in (("input", inputs, record.u), ("output", outputs, record.y)):
            values = np.asarray(values, float).reshape(len(values), -1)
            if values.shape[1] != len(names):
                raise ValueError(
                    f"data.{key}: expected {values.shape[1]} columns, as "
                    f"nonlinear_benchmarks.{name} has, got {len(names)}"
                )
            table |= dict(zip(names, values.T, strict=True))
        tables[f"nonlinear_benchmarks.{name}, record {i + 1}"] = table
    dt = round(float(records[0].sampling_time), 12)
    return PackagedRecords(tuple(tables), lambda path, named: tables[path], dt)
