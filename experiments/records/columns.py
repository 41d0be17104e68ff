"""Named columns of a CSV or NetCDF file, and a recorded input made of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from experiments.cli.messages import nearest_choice, suggest
from experiments.records.csv_columns import read_csv, read_header

NETCDF = {".nc", ".nc4", ".cdf", ".netcdf"}
COLUMN_FORMATS = "CSV with a header line, or NetCDF"
SECONDS = {
    "s sec second seconds": 1.0,
    "ms millisecond milliseconds": 1e-3,
    "min minute minutes": 60.0,
    "h hr hour hours": 3600.0,
    "d day days": 86400.0,
}


class IrregularTimes(OSError):
    """The times of a record do not lie at one interval."""


class TimedRecord(Protocol):
    """A record of any kind, with the name of its file and its times (N,) in s, or None."""

    @property
    def path(self) -> str: ...
    @property
    def time(self) -> np.ndarray | None: ...


class Record(NamedTuple):
    """A recorded input, N samples.

    Attributes:
        path: its file, for messages.
        time: (N,) in s, or None for a record without times.
        u: (N, inputs).
        reference: for a quantity of the model, its measurement (N,).
    """

    path: str
    time: np.ndarray | None
    u: np.ndarray
    reference: dict[str, np.ndarray]


def read_input(
    path: str | None = None,
    about: str | None = None,
    time: str | None = "time",
    columns: tuple[str, ...] = ("u",),
    reference: Mapping[str, str] | None = None,
) -> Record:
    """Read a recorded input: columns of a file, by name.

    Args:
        path: a CSV file with a line of column names, or a NetCDF file.
        about: what the record is and where it is published; the message about a missing
            path shows it.
        time: name of the column of times in s; None for a record without one.
        columns: names of the columns that drive the model, in the order of its inputs.
        reference: for a quantity of the model, the column in which it was measured;
            NaN (or an empty field) is a missing measurement.

    Raises:
        ValueError: there is no path or no such column.
        OSError: there is no such file, or it cannot be read as numbers.
    """
    path = require_path(path, about, COLUMN_FORMATS)
    reference = dict(reference or {})
    if not columns:
        raise ValueError("input.columns: expected at least one column name, got an empty list")
    named = [("input.time", time)] if time is not None else []
    named += [(f"input.columns[{i}]", column) for i, column in enumerate(columns)]
    named += [(f"input.reference.{quantity}", column) for quantity, column in reference.items()]
    table = read_columns(path, named)
    u = np.stack([table[column] for column in columns], axis=-1)
    if not np.isfinite(u).all():
        k, i = np.argwhere(~np.isfinite(u))[0]
        raise OSError(
            f"input.path: {path}: column {columns[i]!r} has no finite value in sample {k}; "
            "an input cannot have gaps"
        )
    return Record(
        str(path),
        None if time is None else table[time],
        u,
        {quantity: table[column] for quantity, column in reference.items()},
    )


def require_file(path: str, prefix: str = "input") -> str:
    """The path; raise FileNotFoundError unless a file is there."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{prefix}.path: no such file: {path}{_describe_absence(path)}")
    return path


def require_path(
    path: str | None, about: str | None, formats: str = "", prefix: str = "input"
) -> str:
    """The path; raise ValueError unless one is given, FileNotFoundError unless a file is there.

    Args:
        path: the file that a configuration names, or None.
        about: what the record is and where it is published.
        formats: the formats that can be read, in words.
        prefix: the group of the configuration that the message names.
    """
    if path is None:
        raise ValueError(missing_path(about, formats, prefix))
    return require_file(path, prefix)


def missing_path(about: str | None, formats: str = "", prefix: str = "input") -> str:
    """The message about a configuration that names no file."""
    description = f" {about.strip()}" if about else ""
    formats = f" ({formats})" if formats else ""
    return (
        f"{prefix}.path: this run needs a recorded file.{description}\n"
        f"Name it with {prefix}.path=FILE{formats}"
    )


def read_columns(
    path: str, named: list[tuple[str, str]], prefix: str = "input"
) -> dict[str, np.ndarray]:
    """Columns by name, each (N,), of a CSV or NetCDF file.

    Args:
        path: the file.
        named: the columns, each as (key of the configuration, name); the column of the key
            ``PREFIX.time`` is converted to s.
        prefix: the group of the configuration that the messages name.

    Raises:
        ValueError: there is no such column, or there are several of the same name.
        OSError: the file cannot be read as columns of numbers.
    """
    if Path(path).suffix.lower() in NETCDF:
        return _read_netcdf(path, named, prefix)
    header, delimiter = read_header(path, prefix)
    if len(header) == 1 < len(named):
        raise OSError(
            f"{prefix}.path: {path}: expected columns parted by comma, semicolon or tab, "
            f"got the one column {header[0]!r}"
        )
    _check_columns(path, named, header)
    names = list(dict.fromkeys(column for _, column in named))
    return read_csv(path, names, header, delimiter, prefix)


def read_quantities(path: str, columns: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Units and long names of columns: attributes of a NetCDF file; a CSV file has none."""
    attributes = {column: {} for column in columns}
    if Path(path).suffix.lower() in NETCDF:
        from sim.netcdf import read

        dataset = read(path)
        attributes = {column: dataset[column].attrs for column in attributes}
    return {
        column: (str(attrs.get("units", "1")), str(attrs.get("long_name", column)))
        for column, attrs in attributes.items()
    }


def _check_columns(path, named: Iterable[tuple[str, str]], columns: list[str]) -> None:
    """Raise ValueError unless each named column stands in the file exactly once."""
    for key, column in named:
        if column not in columns:
            raise ValueError(f"{key}: no column {column!r} in {path}; {suggest(column, columns)}")
        if columns.count(column) > 1:
            raise ValueError(
                f"{key}: expected one column {column!r} in {path}, got {columns.count(column)}"
            )


def _read_netcdf(path, named, prefix):
    from sim.netcdf import read

    dataset = read(path)
    vectors = [str(name) for name, variable in dataset.variables.items() if variable.ndim == 1]
    _check_columns(path, named, vectors)
    columns = {column: dataset[column].values for _, column in named}
    for key, column in named:
        if key == f"{prefix}.time":
            columns[column] = _time_in_seconds(path, dataset[column], prefix)
    for column, values in columns.items():
        if values.dtype.kind not in "biuf":
            kind = "text" if values.dtype.kind in "OUS" else values.dtype
            raise OSError(
                f"{prefix}.path: {path}: expected numbers in column {column!r}, got {kind}"
            )
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(values)}" for name, values in columns.items())
        raise OSError(f"{prefix}.path: {path}: expected columns of one length, got: {lengths}")
    return {column: np.asarray(values, float) for column, values in columns.items()}


def _time_in_seconds(path, time, prefix):
    """A time axis in s: numbers in their units, or dates as the time since the first."""
    if time.dtype.kind in "mM":
        return (time.values - time.values[0]) / np.timedelta64(1, "s")
    units = time.attrs.get("units", "s")
    word = units.split(" since ")[0].strip()
    for names, seconds in SECONDS.items():
        if word in names.split():
            return time.values * seconds
    raise OSError(
        f"{prefix}.path: {path}: expected {time.name!r} in s, min, h, days or ms, got {units!r}"
    )


def _describe_absence(path) -> str:
    """Why there is no such file, or the file beside it that was probably meant."""
    path = Path(path)
    if path.is_dir():
        return " (it is a folder)"
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent})"
    choice = nearest_choice(path.name, [p.name for p in path.parent.iterdir() if p.is_file()])
    return f"; did you mean {choice!r}?" if choice else ""


def sample_interval_of(record: TimedRecord, dt: float | None, prefix: str = "input") -> float:
    """The sample interval of a record, s: from its time column, or else the run's dt.

    Raises:
        IrregularTimes: the time column is irregular (the message names the sample).
        ValueError: dt and the time column disagree, or there is neither.
    """
    if record.time is None:
        if dt is None:
            raise ValueError(
                f"dt: expected the record's sample interval in s, because {prefix}.time "
                "is null; got nothing"
            )
        return dt
    from sim.inputs import sample_interval

    try:
        interval = sample_interval(record.time, name=f"{prefix}.path: {record.path}")
    except ValueError as error:
        raise IrregularTimes(str(error)) from None
    # A recorded clock strays a little from its nominal rate: a dt close to it is taken.
    if dt is None:
        return round(interval, 12)
    if abs(interval - dt) > 1e-3 * interval:
        raise ValueError(
            f"dt: expected {interval:g}, the sample interval of {record.path}, or null, got "
            f"{dt:g}; for shorter integration steps use substeps"
        )
    return dt


def check_increasing(path: str, time: np.ndarray, prefix: str = "input") -> None:
    """Raise OSError unless the times are finite and each is after the one before."""
    wrong = ~np.isfinite(time)
    wrong[1:] |= ~(np.diff(time) > 0)
    if wrong.any():
        k = int(np.argmax(wrong))
        after = f" after {time[k - 1]:.9g}" if k else ""
        raise OSError(
            f"{prefix}.path: {path}: expected finite times that increase, got {time[k]:.9g}"
            f"{after} in sample {k}"
        )
