"""Named columns of a CSV file."""

import csv
import re
import warnings

import numpy as np


def read_header(path: str, prefix: str = "input") -> tuple[list[str], str]:
    """The column names of the first line, and the delimiter that parts them.

    Raises:
        OSError: the file is no text in UTF-8, or its first line is empty.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
    except UnicodeDecodeError:
        raise _not_text(path, prefix) from None
    delimiter = max(",;\t", key=first.count)
    header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    if not any(header):
        raise OSError(f"{prefix}.path: {path}: expected a line of column names, got an empty line")
    return header, delimiter


def read_csv(
    path: str, names: list[str], header: list[str], delimiter: str, prefix: str = "input"
) -> dict[str, np.ndarray]:
    """Columns by name, each (N,); an empty field is NaN.

    Args:
        path: the file.
        names: the columns to read, all of them in the header.
        header, delimiter: as `read_header` gives them.
        prefix: the group of the configuration that the messages name.

    Raises:
        OSError: a row has more fields than the header has names, a field is no number, or
            there are fewer than 2 rows.
    """
    try:
        _check_row_widths(path, delimiter, len(header), prefix)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            numbers = np.loadtxt(
                path,
                delimiter=delimiter,
                skiprows=1,
                ndmin=2,
                encoding="utf-8-sig",
                quotechar='"',
                usecols=[header.index(name) for name in names],
                converters=lambda text: float(text.strip() or "nan"),
            )
    except UnicodeDecodeError:
        raise _not_text(path, prefix) from None
    except ValueError as error:
        raise OSError(f"{prefix}.path: {path}: {_reword_numpy_error(str(error))}") from error
    if len(numbers) < 2:
        raise OSError(f"{prefix}.path: {path}: expected at least 2 samples, got {len(numbers)}")
    return dict(zip(names, numbers.T, strict=True))


def _not_text(path, prefix):
    return OSError(
        f"{prefix}.path: {path} is not a text file in UTF-8; expected CSV or NetCDF "
        "(.cdf, .nc, .nc4, .netcdf)"
    )


def _check_row_widths(path, delimiter, count, prefix):
    """Raise OSError unless every row has at most ``count`` fields.

    A row with a decimal comma has more, and would be read into the wrong columns.
    """
    with open(path, encoding="utf-8-sig") as file:
        next(file)
        for row, line in enumerate(file, 1):
            if line.count(delimiter) < count or '"' in line:
                continue
            fields = line.rstrip().rstrip(delimiter).count(delimiter) + 1
            if fields > count:
                raise OSError(
                    f"{prefix}.path: {path}: expected {count} fields in each row, one for each "
                    f"column name, got {fields} in row {row}: {line.strip()[:60]!r}"
                )


def _reword_numpy_error(message: str) -> str:
    """NumPy's message about a field that is no number, with rows counted from 1 after the names.

    It only rewords what is printed: nothing is decided by it.
    """
    hint = "; decimals are written with a point" if re.search(r"'\s*[-+]?\d*,\d", message) else ""
    row = re.compile(r"to float64 at row (\d+), column")
    message = row.sub(lambda match: f"to float64 at row {int(match[1]) + 1}, column", message)
    return message.rstrip(".") + hint
