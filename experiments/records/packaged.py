"""Records that the package nonlinear_benchmarks loads."""

import importlib

import numpy as np


def _load_package(name, about, inputs, outputs):
    """Names of the records that nonlinear_benchmarks loads, how to read one, and their dt.

    They are asked for whole, as the files hold them, so that rows are the same in both.
    """
    what = f" {about.strip()}" if about else ""
    missing = (
        f"data.path: this task needs a recorded file.{what}\n"
        "Name it with data.path=FILE (CSV with a header line, or NetCDF)"
    )
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
    for i, one in enumerate(records):
        table = {}
        for key, names, values in (("input", inputs, one.u), ("output", outputs, one.y)):
            values = np.asarray(values, float).reshape(len(values), -1)
            if values.shape[1] != len(names):
                raise ValueError(
                    f"data.{key}: expected {values.shape[1]} columns, as "
                    f"nonlinear_benchmarks.{name} has, got {len(names)}"
                )
            table |= dict(zip(names, values.T, strict=True))
        tables[f"nonlinear_benchmarks.{name}, record {i + 1}"] = table
    return (
        tuple(tables),
        lambda path, named: tables[path],
        round(float(records[0].sampling_time), 12),
    )
