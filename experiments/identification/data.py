"""Recorded experiments to fit a model to, and those to test it on, as a configuration names them."""

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.records import columns as recorded
from experiments.records.packaged import _load_package

HOLDS = Literal["zero_order", "first_order", "cubic", "band_limited"]


class Part(NamedTuple):
    """Rows of a record, as one experiment.

    Attributes:
        name: what it is called in the tables.
        rows: the first, and the first that is no longer of it; null is all of the record.
        known: samples at its start from which a test estimates its initial state.
        path: its file; null is ``data.path``, or ``data.test_path`` for a test.
    """

    name: str = "training"
    rows: tuple[int, ...] | None = None
    known: int = 50
    path: str | None = None


class SampledRecord(NamedTuple):
    """One experiment, read: time (T,) in s or None, u (T, inputs) and y (T, outputs)."""

    part: Part
    path: str
    time: np.ndarray | None
    u: np.ndarray
    y: np.ndarray


class Data(NamedTuple):
    """What a fit is given. The outputs of a test are read when asked for, after the fit.

    Attributes:
        training, validation: the experiments.
        tests: those to test on, their y empty.
        opened: a test with its outputs.
        inputs, outputs: the names of the columns.
        observed: for each output, the quantity of the model; None is its first ones.
        hold: what an input does between samples.
        dt: of the package that the record comes from, s, or None.
        published: method to score column to score; unit and scale of these scores.
        column_units: of those columns of which the file tells them.
        said: what to know of it, in words.
    """

    training: tuple[SampledRecord, ...]
    validation: tuple[SampledRecord, ...]
    tests: tuple[SampledRecord, ...]
    opened: Callable[[SampledRecord], SampledRecord]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    observed: tuple[str, ...] | None
    hold: str
    dt: float | None
    published: Mapping[str, Any]
    units: str
    scale: float
    column_units: Mapping[str, str]
    said: tuple[str, ...]


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
    """Read what is fitted.

    Args:
        path: a CSV file with a line of column names, or a NetCDF file; or several files,
            each an experiment.
        test_path: the file of the tests, where it is another one.
        about: what the record is and where it is published, said when there is no path.
        package: the function of the package nonlinear_benchmarks that loads the record
            where there is no path and the package is installed.
        time: name of the column of times in s; None for a record without one.
        input, output: names of columns; an empty field of an output is a missing sample.
        observed: for each output, the quantity of the model that was measured.
        hold: what an input does between samples.
        train, validation, test: parts of the record; several are several experiments.
        published: method to score column to published score, to print beside this one's.
        units, scale: of the published scores, and how many of them make one of the output.

    Raises:
        ValueError: no path, no such column, or rows beyond the record.
        OSError: no such file, or one that cannot be read as numbers.
    """
    inputs, outputs, observed = _as_names(input), _as_names(output), _as_names(observed) or None
    if not outputs:
        raise ValueError("output: expected at least one column, got an empty list")
    if not train:
        raise ValueError("train: expected at least one part, got an empty list")
    _check_distinct("input", "column", inputs)
    _check_distinct("output", "column", outputs)
    _check_published(published or {})
    paths, read, dt = _as_names(path), _read_file, None
    if not paths:
        paths, read, dt = _load_package(package, about, inputs, outputs)
        time, paths, test_path = None, paths[:1], (*paths[1:], None)[0]
    read = cache(read)
    clock = () if time is None else (("input.time", time),)
    enter = clock + tuple(("input.input", name) for name in inputs)
    seen = tuple(("input.output", name) for name in outputs)

    def sampled(part, path, opened=True):
        found = _in_data_words(read, path, enter + seen if opened or not enter else enter)
        rows = _row_slice(part, len(next(iter(found.values()))), path)
        table = {name: column[rows] for name, column in found.items()}
        count = len(next(iter(table.values())))
        u = np.stack([table[n] for n in inputs], 1) if inputs else np.zeros((count, 0))
        y = np.stack([table[n] for n in outputs], 1) if opened else np.zeros((count, 0))
        _check_finite(u, y, inputs, outputs, path, part.name)
        return SampledRecord(part, path, None if time is None else table[time], u, y)

    several = len(paths) > 1
    training = [
        sampled(
            part._replace(name=f"{part.name} {i + 1}" if several else part.name), part.path or file
        )
        for i, file in enumerate(paths)
        for part in train
    ]
    held = [sampled(part, part.path or paths[0]) for part in validation]
    for part in (*(s.part for s in training), *validation, *test):
        if part.known < 0:
            raise ValueError(
                f"data: {part.name}: expected known samples of at least 0, got {part.known}"
            )
    _check_distinct(
        "data", "part", [part.name for part in (*(s.part for s in training), *validation, *test)]
    )
    own = test_path or any(p.rows is not None or p.path for p in test)  # not the training again
    tests = [sampled(p, p.path or test_path or paths[0], False) for p in test if own]
    said = () if own or not test else ("no test was scored: name its file with data.test_path",)
    return Data(
        tuple(training),
        tuple(held),
        tuple(tests),
        lambda t: sampled(t.part, t.path),
        inputs,
        outputs,
        observed,
        hold,
        dt,
        published or {},
        units,
        scale,
        _read_units(training[0].path, (*inputs, *outputs)),
        said,
    )


def _as_names(given) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _check_distinct(key, what, names):
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ValueError(f"{key}: expected each {what} once, got two of the name {twice!r}")


def _check_published(published):
    """Nothing, where they can be printed: it is said before a search, not after."""
    for method, scores in published.items():
        numbers = scores.values() if isinstance(scores, Mapping) else ("",)
        if not all(isinstance(x, int | float) for x in numbers):
            raise ValueError(
                f"published: expected numbers by the name of a test, got {method}: {scores}"
            )


def _read_file(path, named):
    return recorded.read_columns(recorded.require_file(path), list(named))


def _in_data_words(read, *arguments):
    """What is read; a mistake in words of this group, not of that of the input."""
    try:
        return read(*arguments)
    except (OSError, ValueError) as error:
        raise type(error)(reword_group(str(error))) from None


def reword_group(message: str) -> str:
    """Words about a record's keys in the group ``input``, as those of the group ``data``.

    >>> reword_group("input.path: no such file: input.csv")
    'data.path: no such file: input.csv'
    """
    return re.sub(r"\binput\.(path|time|input|output):", r"data.\1:", message).replace(
        "because input.time is null", "because data.time is null"
    )


def _row_slice(part, count, path):
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


def _check_finite(u, y, inputs, outputs, path, part):
    if not np.isfinite(u).all():
        k, i = np.argwhere(~np.isfinite(u))[0]
        raise OSError(
            f"data.input: {path}: column {inputs[i]!r} has no finite value in sample {k} "
            f"of {part}; an input cannot have gaps"
        )
    for name, column in zip(outputs, y.T, strict=False):
        if np.isnan(column).all():
            raise OSError(f"data.output: {path}: column {name!r} has no value in {part}")
        if np.isinf(column).any():
            raise OSError(
                f"data.output: {path}: column {name!r} is infinite in sample "
                f"{int(np.argmax(np.isinf(column)))} of {part}"
            )


def data_hash(data: Data) -> str:
    """12 hex digits of the records that a search sees, by which it knows them again."""
    found = hashlib.sha256()
    for sampled in (*data.training, *data.validation):
        for table in (sampled.u, sampled.y):
            found.update(repr(table.shape).encode() + np.ascontiguousarray(table).tobytes())
    return found.hexdigest()[:12]


def _read_units(path, columns):
    """Units of columns, from the attributes of a NetCDF file."""
    if Path(path).suffix.lower() not in recorded.NETCDF:
        return {}
    from sim.netcdf import read

    dataset = read(path)
    return {c: str(dataset[c].attrs["units"]) for c in columns if "units" in dataset[c].attrs}
