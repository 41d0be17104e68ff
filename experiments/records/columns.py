"""A recorded signal: named columns of a CSV or NetCDF file, as the input of a run."""

import csv
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.cli.messages import suggest

NETCDF = {".nc", ".nc4", ".cdf", ".netcdf"}
SECONDS = {
    "s sec second seconds": 1.0,
    "ms millisecond milliseconds": 1e-3,
    "min minute minutes": 60.0,
    "h hr hour hours": 3600.0,
    "d day days": 86400.0,
}


class Record(NamedTuple):
    """Columns of one length: ``time`` (N,) in s or None, ``u`` (N, inputs), ``reference``."""

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
    """Read a record's columns by name.

    Args:
        path: a CSV file with a line of column names, or a NetCDF file.
        about: what the record is and where it is published, said when there is no path.
        time: name of the column of times in s; None for a record without one.
        columns: names of the columns that drive the model, in the order of its inputs.
        reference: for a quantity of the model, the column in which it was measured;
            NaN (or an empty field) is a missing measurement.

    Raises:
        ValueError: no path, or no such column.
        OSError: no such file, or one that cannot be read as numbers.
    """
    if path is None:
        what = f" {about.strip()}" if about else ""
        raise ValueError(
            f"input.path: this run needs a recorded file.{what}\n"
            f"Name it with input.path=FILE (CSV with a header line, or NetCDF)"
        )
    reference = dict(reference or {})
    if not columns:
        raise ValueError("input.columns: expected at least one column name, got an empty list")
    named = [("input.time", time)] if time is not None else []
    named += [(f"input.columns[{i}]", column) for i, column in enumerate(columns)]
    named += [(f"input.reference.{quantity}", column) for quantity, column in reference.items()]
    found = read_columns(require_file(path), named)
    u = np.stack([found[column] for column in columns], axis=-1)
    if not np.isfinite(u).all():
        k, i = np.argwhere(~np.isfinite(u))[0]
        raise OSError(
            f"input.path: {path}: column {columns[i]!r} has no finite value in sample {k}; "
            "an input cannot have gaps"
        )
    return Record(
        str(path),
        None if time is None else found[time],
        u,
        {quantity: found[column] for quantity, column in reference.items()},
    )


def require_file(path: str) -> str:
    """The path, of a file that is there."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"input.path: no such file: {path}{_similar_file(path)}")
    return path


def read_columns(path: str, named: list[tuple[str, str]]) -> dict[str, np.ndarray]:
    """Columns by name, each asked for as (key of the configuration, name)."""
    return (_read_netcdf if Path(path).suffix.lower() in NETCDF else _read_csv)(path, named)


def read_quantities(path: str, columns: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Units and words of columns, from the attributes of a NetCDF file; a CSV file has none."""
    about = {column: {} for column in columns}
    if Path(path).suffix.lower() in NETCDF:
        from sim.netcdf import read

        dataset = read(path)
        about = {column: dataset[column].attrs for column in about}
    return {
        column: (str(attrs.get("units", "1")), str(attrs.get("long_name", column)))
        for column, attrs in about.items()
    }


def _check_columns(path, named: Iterable[tuple[str, str]], columns: list[str]) -> None:
    for key, column in named:
        if column not in columns:
            raise ValueError(f"{key}: no column {column!r} in {path}; {suggest(column, columns)}")
        if columns.count(column) > 1:
            raise ValueError(
                f"{key}: expected one column {column!r} in {path}, got {columns.count(column)}"
            )


def _read_csv(path, named):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        if not any(header):
            raise OSError(f"input.path: {path}: expected a line of column names, got an empty line")
        if len(header) == 1 < len(named):
            raise OSError(
                f"input.path: {path}: expected columns parted by comma, semicolon or tab, "
                f"got the one column {header[0]!r}"
            )
        _check_columns(path, named, header)
        _check_row_widths(path, delimiter, len(header))
        wanted = list(dict.fromkeys(column for _, column in named))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            numbers = np.loadtxt(
                path,
                delimiter=delimiter,
                skiprows=1,
                ndmin=2,
                encoding="utf-8-sig",
                quotechar='"',
                usecols=[header.index(column) for column in wanted],
                converters=lambda text: float(text.strip() or "nan"),
            )
    except UnicodeDecodeError:
        raise OSError(
            f"input.path: {path} is not a text file in UTF-8; expected CSV or NetCDF "
            f"({', '.join(sorted(NETCDF))})"
        ) from None
    except ValueError as error:
        if str(error).startswith("input."):
            raise
        raise OSError(f"input.path: {path}: {_reword_numpy_error(str(error))}") from error
    if len(numbers) < 2:
        raise OSError(f"input.path: {path}: expected at least 2 samples, got {len(numbers)}")
    return dict(zip(wanted, numbers.T, strict=True))


def _check_row_widths(path, delimiter, count):
    """Raise where a row has more fields than there are names: it would be read one aside."""
    with open(path, encoding="utf-8-sig") as file:
        next(file)
        for k, line in enumerate(file, 1):
            if line.count(delimiter) < count or '"' in line:
                continue
            fields = line.rstrip().rstrip(delimiter).count(delimiter) + 1
            if fields > count:
                raise OSError(
                    f"input.path: {path}: expected {count} fields in each row, as there are names, got "
                    f"{fields} in row {k}: {line.strip()[:60]!r}"
                )


def _reword_numpy_error(message):
    """NumPy's words on a field that is not a number: rows counted from 1, below the names."""
    hint = "; decimals are written with a point" if re.search(r"'\s*[-+]?\d*,\d", message) else ""
    row = re.compile(r"to float64 at row (\d+), column")
    return (
        row.sub(lambda m: f"to float64 at row {int(m[1]) + 1}, column", message).rstrip(".") + hint
    )


def _read_netcdf(path, named):
    from sim.netcdf import read

    dataset = read(path)
    columns = [str(name) for name, variable in dataset.variables.items() if variable.ndim == 1]
    _check_columns(path, named, columns)
    found = {column: dataset[column].values for _, column in named}
    for key, column in named:
        if key == "input.time":
            found[column] = _time_in_seconds(path, dataset[column])
    for column, values in found.items():
        if values.dtype.kind not in "biuf":
            raise OSError(
                f"input.path: {path}: expected numbers in column {column!r}, got "
                f"{'text' if values.dtype.kind in 'OUS' else values.dtype}"
            )
    if len({len(column) for column in found.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(column)}" for name, column in found.items())
        raise OSError(f"input.path: {path}: expected columns of one length, got: {lengths}")
    return {column: np.asarray(values, float) for column, values in found.items()}


def _time_in_seconds(path, time):
    """A time axis in s: of numbers by their units, of dates since the first."""
    if time.dtype.kind in "mM":
        return (time.values - time.values[0]) / np.timedelta64(1, "s")
    units = time.attrs.get("units", "s")
    word = units.split(" since ")[0].strip()
    for names, seconds in SECONDS.items():
        if word in names.split():
            return time.values * seconds
    raise OSError(
        f"input.path: {path}: expected {time.name!r} in s, min, h, days or ms, got {units!r}"
    )


def _similar_file(path):
    """The file beside it that was probably meant."""
    path = Path(path)
    if path.is_dir():
        return " (it is a folder)"
    folder = path.parent if path.parent.is_dir() else None
    if folder is None:
        return f" (there is no folder {path.parent})"
    close = suggest(path.name, [p.name for p in folder.iterdir() if p.is_file()])
    return f"; {close}" if close.startswith("did you mean") else ""


def sample_interval_of(record: Record, dt: float | None) -> float:
    """The sample interval of a record, s: of its time column, or else the run's dt.

    Raises:
        OSError: the time column is irregular (the message names the sample).
        ValueError: dt and the time column disagree, or there is neither.
    """
    if record.time is None:
        if dt is None:
            raise ValueError(
                "dt: expected the record's sample interval in s, because input.time "
                "is null; got nothing"
            )
        return dt
    from sim.inputs import sample_interval

    try:
        found = sample_interval(record.time)
    except ValueError as error:
        raise OSError(f"input.path: {record.path}: {str(error).removeprefix('t: ')}") from None
    # A recorded clock is a little off its nominal rate: the user's dt, if close, is meant.
    if dt is None:
        return round(found, 12)
    if abs(found - dt) > 1e-3 * found:
        raise ValueError(
            f"dt: expected {found:g}, the sample interval of {record.path}, or null, got {dt:g}; "
            "for shorter integration steps use substeps"
        )
    return dt


def check_increasing(path: str, time: np.ndarray) -> None:
    """Raise OSError unless the times are finite and each is after the one before."""
    wrong = ~np.isfinite(time)
    wrong[1:] |= ~(np.diff(time) > 0)
    if wrong.any():
        k = int(np.argmax(wrong))
        after = f" after {time[k - 1]:.9g}" if k else ""
        raise OSError(
            f"input.path: {path}: expected finite times that increase, got {time[k]:.9g}"
            f"{after} in sample {k}"
        )
