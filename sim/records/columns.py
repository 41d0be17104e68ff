"""Records as columns: a series (T,) or several (T, k), as float64 NumPy."""

import numpy as np


def as_columns(name, x):
    """x as (T, k) float64, from (T,) or (T, k)."""
    x = np.asarray(x)
    if x.ndim not in (1, 2) or not len(x):
        raise ValueError(f"{name}: expected shape (T,) or (T, k) with T above 0, got {x.shape}")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        raise ValueError(f"{name}: expected real numbers, got {x.dtype}")
    return x.astype(np.float64).reshape(len(x), -1)


def as_records(name, x):
    """x as a list of (T, k); x is one record, or a list or tuple of records of any lengths."""
    if not isinstance(x, list | tuple):
        return [as_columns(name, x)]
    if not x:
        raise ValueError(f"{name}: expected at least one record, got an empty {type(x).__name__}")
    records = [as_columns(f"{name}[{i}]", record) for i, record in enumerate(x)]
    if len({record.shape[1] for record in records}) > 1:
        widths = [record.shape[1] for record in records]
        raise ValueError(f"{name}: expected records of one number of columns, got {widths}")
    return records


def check_same_lengths(name, us, other, ys):
    """Raise ValueError unless the records of two lists agree in number and in length."""
    if [len(u) for u in us] != [len(y) for y in ys]:
        raise ValueError(
            f"{name}: expected the lengths of {other}, {[len(y) for y in ys]}, "
            f"got {[len(u) for u in us]}"
        )


def check_finite(name, xs, advice):
    """Raise ValueError unless all numbers of all records are finite."""
    for i, x in enumerate(xs):
        bad = np.argwhere(~np.isfinite(x))
        if len(bad):
            row, column = bad[0]
            where = f"{name}[{i}]" if len(xs) > 1 else name
            raise ValueError(
                f"{where}: expected finite numbers, got {x[row, column]} at sample {row} of "
                f"column {column}; {advice}"
            )
