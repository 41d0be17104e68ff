"""The outcome of a fit in one NetCDF file, and back from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.identification.findings import Message
from experiments.identification.fit_report import ExperimentTrace, FitReport
from experiments.identification.result_dataset import (
    LONG_NAMES,
    PARAMETER_COLUMNS,
    TEST_PARTS,
    report_dataset,
)
from experiments.records import dataset_file


def write_fit(path: Path, report: FitReport, attributes: Mapping[str, Any]) -> None:
    """Write one flat file; a failure leaves no file behind.

    The first experiment has the dimension ``time`` and plain names: y_measured, y_simulated,
    y_residual, y_sd and the inputs. The names of each further experiment begin with its own:
    validation_time, validation_y_measured, … The attributes of every variable tell its
    ``experiment``, its ``quantity`` and its ``role``.

    Args:
        path: the file.
        report: what to write.
        attributes: global ones, such as the configuration and the versions; the title is
            that of the report.

    Raises:
        OSError: the file cannot be written.

    Reference: CF Conventions 1.11 (cfconventions.org): names of variables consist of ASCII
    letters, digits and _, and labels are auxiliary coordinates, such as ``parameter_name``.

    >>> import tempfile
    >>> from sim.netcdf import read
    >>> time, one = np.array([0.0, 0.1]), np.ones(1)
    >>> run = ExperimentTrace("training", time, {"u": time}, {"y": time}, {"y": time}, {}, {})
    >>> numbers = (one, one, one, one, one, one[None], one)
    >>> report = FitReport("A gain", (run,), ("gain",), ("1",), *numbers)
    >>> path = Path(tempfile.mkdtemp()) / "fit.nc"
    >>> write_fit(path, report, {})
    >>> read(path).y_simulated.sel(time=0.1).item(), read_fit(path).names
    (0.1, ('gain',))
    """
    dataset_file.write_dataset(
        Path(path), report_dataset(report), {**attributes, "title": report.title}
    )


def read_fit(path: Path) -> FitReport:
    """Read the file of a fit back; its findings are `Message`s.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not the file of a fit.
    """
    from sim.netcdf import read

    dataset = read(path)
    times = [name for name in dataset.variables if dataset[name].attrs.get("role") == "time"]
    if not times:
        raise ValueError(f"path: expected the file of a fit, got {path}")

    def numbers(name, shape=(0,)):
        return dataset[name].values if name in dataset.variables else np.zeros(shape)

    def strings(name):
        return tuple(str(text) for text in numbers(name))

    scores: dict = {}
    rows = (numbers("score_trace"), strings("score_name"), strings("score_output"))
    for trace, score, output, value in zip(*rows, numbers("score_value"), strict=True):
        scores.setdefault(int(trace), {}).setdefault(score, {})[output] = float(value)
    columns = strings("column_name")
    published = tuple(
        (method, {c: float(x) for c, x in zip(columns, row, strict=True) if not np.isnan(x)})
        for method, row in zip(strings("method_name"), numbers("published_score"), strict=True)
    )
    return FitReport(
        str(dataset.attrs["title"]),
        tuple(_read_trace(dataset, dim, scores.get(i, {})) for i, dim in enumerate(times)),
        strings("parameter_name"),
        strings("parameter_units"),
        *(numbers(f"parameter_{column}") for column in PARAMETER_COLUMNS),
        covariance=numbers("covariance", (0, 0)),
        loss=numbers("loss"),
        tests=_read_tests(dataset),
        findings=tuple(map(Message, strings("finding_text"))),
        published=published,
        seconds=dict(zip(strings("phase_name"), numbers("phase_seconds").tolist(), strict=True)),
        validation=numbers("validation_loss"),
        weights=dict(zip(strings("weight_name"), map(int, numbers("weight_size")), strict=True)),
        profile=numbers("parameter_profile", (0, 2)),
    )


def _read_trace(dataset, dim, scores):
    columns: dict = {role: {} for role in LONG_NAMES}
    units = {}
    for variable in dataset.variables.values():
        if variable.dims == (dim,) and variable.attrs["role"] in LONG_NAMES:
            name = variable.attrs["quantity"]
            columns[variable.attrs["role"]][name] = variable.values
            if "units" in variable.attrs:
                units[name] = variable.attrs["units"]
    parts = (columns[role] for role in ("input", "measured", "simulated", "sd"))
    name = dataset[dim].attrs["experiment"]
    return ExperimentTrace(name, dataset[dim].values, *parts, scores, units)


def _read_tests(dataset):
    tests: dict = {}
    for name, variable in dataset.variables.items():
        if "residual_test" in variable.attrs:
            value = variable.values if variable.ndim else variable.values.item()
            parts = tests.setdefault(variable.attrs["residual_test"], {})
            parts[name.rpartition("_")[2]] = value
    return {name: tuple(parts[part] for part in TEST_PARTS) for name, parts in tests.items()}
