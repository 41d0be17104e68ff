"""Recorded experiments to fit a model to, and those to test it on, as a configuration names them."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments import record as recorded

HOLDS = Literal["zero_order", "first_order", "cubic", "band_limited"]


class Part(NamedTuple):
    """Rows of a file, as one experiment.

    Attributes:
        name: what it is called in the tables.
        rows: the first, and the first that is no longer of it; null is all of the file.
        known: samples at its start from which a test estimates its initial state.
        path: its file; null is ``data.path``, or ``data.test_path`` for a test.
        of: where the record comes from a package, which of its tests it is.
    """

    name: str = "training"
    rows: tuple[int, ...] | None = None
    known: int = 50
    path: str | None = None
    of: int = 0


class Sampled(NamedTuple):
    """One experiment, read: time (T,) in s or None, u (T, inputs) and y (T, outputs)."""

    part: Part
    time: np.ndarray | None
    u: np.ndarray
    y: np.ndarray


class Data(NamedTuple):
    """What a fit is given. A test is read when it is asked for, after the fit.

    Attributes:
        training, validation: the experiments.
        tests: of each test, what reads it.
        inputs, outputs: the names of the columns.
        observed: for each output, the quantity of the model; None is its first ones.
        hold: what an input does between samples.
        dt: of the package that the record comes from, s, or None.
        published: method to score column to score; unit and scale of these scores.
    """

    training: tuple[Sampled, ...]
    validation: tuple[Sampled, ...]
    tests: tuple[Callable[[], Sampled], ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    observed: tuple[str, ...] | None
    hold: str
    dt: float | None
    published: Mapping[str, Any]
    units: str
    scale: float


def data(
    path: str | tuple[str, ...] | None = None,
    test_path: str | None = None,
    about: str | None = None,
    package: str | None = None,
    time: str | None = "time",
    input: str | tuple[str, ...] = "u",
    output: str | tuple[str, ...] = "y",
    observed: tuple[str, ...] | None = None,
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
    inputs, outputs = _names(input), _names(output)
    if not outputs:
        raise ValueError("output: expected at least one column, got an empty list")
    paths = (path,) if isinstance(path, str) else path or ()
    columns = (time, inputs, outputs)
    about_scores = (published or {}, units, scale)
    if not paths:
        found = _package(package, about)
        parts = tuple(_of_package(found.train, part, found) for part in train)
        held = tuple(_of_package(found.train, part, found) for part in validation)
        tests = tuple(_later(_of_package, found.test[part.of], part, found) for part in test)
        return Data(parts, held, tests, inputs, outputs, observed, hold, found.dt, *about_scores)
    several = len(paths) > 1
    named = [
        part._replace(path=file, name=f"{part.name} {i + 1}" if several else part.name)
        for i, file in enumerate(paths)
        for part in train
    ]
    parts = tuple(_read(part.path or paths[0], part, columns) for part in named)
    held = tuple(_read(part.path or paths[0], part, columns) for part in validation)
    tests = tuple(_later(_read, part.path or test_path or paths[0], part, columns) for part in test)
    if test and test_path is None and all(part.rows is None for part in test):
        tests = ()  # the same rows again would be no test
    return Data(parts, held, tests, inputs, outputs, observed, hold, None, *about_scores)


def _names(given) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _later(read, *arguments):
    return lambda: read(*arguments)


def _read(path, part, columns) -> Sampled:
    time, inputs, outputs = columns
    named = [("data.time", time)] if time is not None else []
    named += [("data.input", name) for name in inputs] + [("data.output", name) for name in outputs]
    try:
        found = recorded.read(recorded.existing(path), named)
    except (OSError, ValueError) as error:
        raise type(error)(str(error).replace("input.path:", "data.path:")) from None
    rows = _rows(part, len(found[outputs[0]]), path)
    table = {name: column[rows] for name, column in found.items()}
    u = np.stack([table[name] for name in inputs], 1) if inputs else np.zeros((len(table[outputs[0]]), 0))
    y = np.stack([table[name] for name in outputs], 1)
    return Sampled(part, None if time is None else table[time], _finite(u, inputs, path), y)


def _rows(part, count, path):
    if part.rows is None:
        return slice(None)
    if len(part.rows) != 2:
        raise ValueError(f"data: {part.name}: expected two rows, first and last, got {part.rows}")
    first, last = part.rows
    if not 0 <= first < last <= count:
        raise ValueError(f"data: {part.name}: expected rows within the {count} of {path}, got "
                         f"{first} to {last}")
    return slice(first, last)


def _finite(u, inputs, path):
    if not np.isfinite(u).all():
        k, i = np.argwhere(~np.isfinite(u))[0]
        raise OSError(f"data.path: {path}: column {inputs[i]!r} has no finite value in sample {k}; "
                      "an input cannot have gaps")
    return u


class Loaded(NamedTuple):
    """A record of the package nonlinear_benchmarks: training, tests, and s between samples."""

    name: str
    train: Any
    test: Sequence[Any]
    dt: float


def _package(name, about) -> Loaded:
    what = f" {about.strip()}" if about else ""
    missing = (f"data.path: this fit needs a recorded file.{what}\n"
               "Name it with data.path=FILE (CSV with a header line, or NetCDF)")  # fmt: skip
    if name is None:
        raise ValueError(missing)
    try:
        package = importlib.import_module("nonlinear_benchmarks")
    except ImportError:
        raise ValueError(f"{missing}, or install scansim[records], which fetches it") from None
    train, test = getattr(package, name)(atleast_2d=True)
    tests = test if isinstance(test, list | tuple) and not hasattr(test, "u") else (test,)
    return Loaded(name, train, tests, float(train.sampling_time))


def _of_package(record, part, found) -> Sampled:
    y = np.asarray(record.y, float)
    whole = record is not found.train or part.name == "training"
    rows = slice(None) if whole else _rows(part, len(y), found.name)
    return Sampled(part, None, np.asarray(record.u, float)[rows], y[rows])
