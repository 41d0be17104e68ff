"""Checks of the records before a search begins."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def check_distinct(key: str, kind: str, names: Sequence[str]) -> None:
    """Raise ValueError unless each name stands once.

    >>> check_distinct("output", "column", ["y", "v"])
    """
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ValueError(f"{key}: expected each {kind} once, got two of the name {twice!r}")


def check_published(published: Mapping[str, Any]) -> None:
    """Raise ValueError unless the published scores are numbers by the name of a test."""
    for method, scores in published.items():
        numbers = scores.values() if isinstance(scores, Mapping) else ("",)
        if not all(isinstance(x, int | float) for x in numbers):
            raise ValueError(
                f"published: expected numbers by the name of a test, got {method}: {scores}"
            )


def check_finite(u, y, inputs, outputs, path: str, part: str) -> None:
    """Raise OSError unless all inputs are finite, and outputs finite or missing in places."""
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


def check_precision(data: Any, precision: str) -> None:
    """Raise OSError unless the precision can square and sum every column and resolve its changes.

    Args:
        data: an `experiments.identification.data.Data`.
        precision: "float32" or "float64".
    """
    limits = np.finfo(precision)
    hint = ", or take runtime=float64" if precision == "float32" else ""
    columns = (
        (key, record, name, column)
        for record in (*data.training, *data.validation, *data.tests)
        for key, names, table in (
            ("input", data.inputs, record.u),
            ("output", data.outputs, record.y),
        )
        for name, column in zip(names, table.T, strict=False)
    )
    for key, record, name, column in columns:
        size, span = np.nanmax(np.abs(column)), np.nanmax(column) - np.nanmin(column)
        place = f"data.{key}: {record.path}: column {name!r} of {record.part.name}"
        if size > np.sqrt(limits.max / len(column)) or 0 < size < np.sqrt(limits.tiny):
            word = "large" if size > 1 else "small"
            raise OSError(
                f"{place} is {size:.3g} in size, too {word} to square in {precision}; "
                f"scale it{hint}"
            )
        if 0 < span < 64 * limits.eps * size:
            raise OSError(
                f"{place} varies by {span:.3g} beside its size of {size:.3g}, too little "
                f"for {precision}; subtract an offset{hint}"
            )
