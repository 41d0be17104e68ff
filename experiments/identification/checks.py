"""Checks of the records before a search begins."""

import numpy as np

from experiments.identification.data import Data, reword_group
from experiments.records import columns


def common_interval(data: Data, dt: float | None) -> float:
    """The sample interval of all records, s.

    Raises:
        ValueError, OSError: a record has another, or none.
    """
    found = data.dt if dt is None else dt
    if data.dt is not None and abs(found - data.dt) > 1e-3 * data.dt:
        raise ValueError(
            f"dt: expected {data.dt:g}, the sample interval of {data.training[0].path}, "
            f"or null, got {dt:g}"
        )
    for sampled in (*data.training, *data.validation, *data.tests):
        source = columns.Record(sampled.path, sampled.time, sampled.u, {})
        try:
            found = columns.sample_interval_of(source, found)
        except (OSError, ValueError) as error:
            raise type(error)(reword_group(str(error))) from None
    return found


def check_precision(data: Data, precision: str) -> None:
    """Nothing, where the precision can tell how all columns vary, and square and sum them.

    Raises:
        OSError: a column is too large or too small for that; the message names it.
    """
    kind, other = np.finfo(precision), ", or take runtime=float64" * (precision == "float32")
    for sampled in (*data.training, *data.validation, *data.tests):
        for key, names, table in (
            ("input", data.inputs, sampled.u),
            ("output", data.outputs, sampled.y),
        ):
            for name, column in zip(names, table.T, strict=False):
                size, span = np.nanmax(np.abs(column)), np.nanmax(column) - np.nanmin(column)
                of = f"data.{key}: {sampled.path}: column {name!r} of {sampled.part.name}"
                if size > np.sqrt(kind.max / len(column)) or 0 < size < np.sqrt(kind.tiny):
                    word = "large" if size > 1 else "small"
                    raise OSError(
                        f"{of} is {size:.3g} in size, too {word} to square in {precision}; scale it{other}"
                    )
                if 0 < span < 64 * kind.eps * size:
                    raise OSError(
                        f"{of} varies by {span:.3g} beside its size of {size:.3g}, too little for {precision}; "
                        f"take an offset from it{other}"
                    )
