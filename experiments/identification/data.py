"""The records of a fit or a training, as the group ``data`` of a configuration names them."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.identification import checks
from experiments.identification.findings import Finding, NoTestFile
from experiments.records import columns as recorded
from experiments.records.packaged import load_package

HOLDS = Literal["zero_order", "first_order", "cubic", "band_limited"]


class Part(NamedTuple):
    """Rows of a record that make one experiment.

    Attributes:
        name: its name in the tables.
        rows: the first row, and the row after the last; null means all rows.
        known: the number of samples at its start from which a test estimates its initial state.
        path: its file; null means ``data.path``, or ``data.test_path`` for a test.
    """

    name: str = "training"
    rows: tuple[int, ...] | None = None
    known: int = 50
    path: str | None = None


class SampledRecord(NamedTuple):
    """One part as read: time (T,) in s or None, u (T, inputs) and y (T, outputs)."""

    part: Part
    path: str
    time: np.ndarray | None
    u: np.ndarray
    y: np.ndarray


class Data(NamedTuple):
    """The records of a search. The outputs of its tests are read only after it.

    Attributes:
        training, validation: the records, read.
        tests: the records to test on, with an empty y.
        open_test: reads one of ``tests`` again, with its outputs.
        inputs, outputs: the names of the columns.
        observed: for each output, the quantity of the model; None means its first ones.
        hold: how an input goes on between samples.
        dt: the sample interval that the package of the record states, s, or None.
        published: method to test to score.
        units, scale: of the published scores, see `data`.
        column_units: the units of columns, as far as a file states them.
        warnings: findings about the records.
    """

    training: tuple[SampledRecord, ...]
    validation: tuple[SampledRecord, ...]
    tests: tuple[SampledRecord, ...]
    open_test: Callable[[SampledRecord], SampledRecord]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    observed: tuple[str, ...] | None
    hold: str
    dt: float | None
    published: Mapping[str, Any]
    units: str
    scale: float
    column_units: Mapping[str, str]
    warnings: tuple[Finding, ...]


def data(
    path: str | tuple[str, ...] | None = None,
    test_path: str | None = None,
    about: str | None = None,
    package: str | None = None,
    time: str | None = "time",
    input: str | tuple[str, ...] | None = "u",
    output: str | tuple[str, ...] = "y",
    observed: str | tuple[str, ...] | None = None,
    hold: HOLDS = "zero_order",
    train: tuple[Part, ...] = (Part(),),
    validation: tuple[Part, ...] = (),
    test: tuple[Part, ...] = (),
    published: Mapping[str, Any] | None = None,
    units: str = "",
    scale: float = 1.0,
) -> Data:
    """Read the records of a fit or a training.

    Args:
        path: a CSV file with a line of column names, or a NetCDF file; or several files,
            each of which is an experiment.
        test_path: the file of the tests, if it is another one.
        about: what the record is and where it is published; the message about a missing
            path shows it.
        package: the function of the package nonlinear_benchmarks that loads the record
            where there is no path and the package is installed.
        time: the column of times in s; None for a record without one.
        input, output: names of columns; an empty field of an output is a missing sample.
        observed: for each output, the quantity of the model that it measures.
        hold: how an input goes on between samples.
        train, validation, test: parts of the record; each part is an experiment.
        published: method to test to published score, printed beside the score of this fit.
        units, scale: the unit of the published scores, and how many of it make one unit of
            the output.

    Raises:
        ValueError: there is no path or no such column, or rows are beyond the record.
        OSError: there is no such file, or it cannot be read as numbers.
    """
    inputs, outputs, observed = _as_names(input), _as_names(output), _as_names(observed) or None
    if not outputs:
        raise ValueError("output: expected at least one column, got an empty list")
    if not train:
        raise ValueError("train: expected at least one part, got an empty list")
    checks.check_distinct("input", "column", inputs)
    checks.check_distinct("output", "column", outputs)
    checks.check_published(published or {})
    paths, read, dt = _as_names(path), _read_file, None
    if not paths:
        names, read, dt = load_package(package, about, inputs, outputs)
        time, paths, test_path = None, names[:1], (*names[1:], None)[0]
    read = cache(read)
    driving = [] if time is None else [("data.time", time)]
    driving += [("data.input", name) for name in inputs]
    observing = [("data.output", name) for name in outputs]

    def read_part(part, path, with_outputs=True):
        named = driving + observing if with_outputs or not driving else driving
        columns = read(path, tuple(named))
        count = len(next(iter(columns.values())))
        rows = _row_slice(part, count, path)
        count = len(range(count)[rows])
        u = np.stack([columns[n][rows] for n in inputs], 1) if inputs else np.zeros((count, 0))
        y = np.zeros((count, 0))
        if with_outputs:
            y = np.stack([columns[n][rows] for n in outputs], 1)
        checks.check_finite(u, y, inputs, outputs, path, part.name)
        return SampledRecord(part, path, None if time is None else columns[time][rows], u, y)

    training = [(part, part.path or file) for file in paths for part in train]
    if len(paths) > 1:
        training = [
            (part._replace(name=f"{part.name} {1 + i // len(train)}"), path)
            for i, (part, path) in enumerate(training)
        ]
    records = [read_part(part, path) for part, path in training]
    held_out = [read_part(part, part.path or paths[0]) for part in validation]
    parts = [*(part for part, _ in training), *validation, *test]
    for part in parts:
        if part.known < 0:
            raise ValueError(
                f"data: {part.name}: expected known samples of at least 0, got {part.known}"
            )
    checks.check_distinct("data", "part", [part.name for part in parts])
    # Without a file or rows of its own a test would be the training record again.
    scored = test_path or any(part.rows is not None or part.path for part in test)
    tests = [
        read_part(part, part.path or test_path or paths[0], with_outputs=False)
        for part in (test if scored else ())
    ]
    return Data(
        tuple(records),
        tuple(held_out),
        tuple(tests),
        lambda record: read_part(record.part, record.path),
        inputs,
        outputs,
        observed,
        hold,
        dt,
        published or {},
        units,
        scale,
        _read_units(records[0].path, (*inputs, *outputs)),
        (NoTestFile(),) if test and not scored else (),
    )


def _as_names(names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def _read_file(path, named):
    return recorded.read_columns(recorded.require_file(path, "data"), list(named), "data")


def _row_slice(part, count, path):
    """The rows of a part in a record of ``count`` rows."""
    if part.rows is None:
        return slice(None)
    if len(part.rows) != 2:
        raise ValueError(
            f"data: {part.name}: expected two rows, first and last, got {list(part.rows)}"
        )
    first, last = part.rows
    if not 0 <= first < last <= count:
        raise ValueError(
            f"data: {part.name}: expected rows within the {count} of {path}, got {first} to {last}"
        )
    return slice(first, last)


def data_hash(data: Data) -> str:
    """12 hex digits of the records of the search, by which a resumed run recognises them."""
    digest = hashlib.sha256()
    for record in (*data.training, *data.validation):
        for table in (record.u, record.y):
            digest.update(repr(table.shape).encode() + np.ascontiguousarray(table).tobytes())
    return digest.hexdigest()[:12]


def _read_units(path, columns):
    """Units of columns, as far as a NetCDF file states them."""
    if Path(path).suffix.lower() not in recorded.NETCDF:
        return {}
    from sim.netcdf import read

    dataset = read(path)
    return {c: str(dataset[c].attrs["units"]) for c in columns if "units" in dataset[c].attrs}
