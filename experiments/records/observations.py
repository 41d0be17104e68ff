"""Recorded observations, from a file or from the configuration."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.records import columns as recorded


class Observations(NamedTuple):
    """A record of N observations, with the true states if they are known.

    Attributes:
        path: the file, for messages.
        time: (N,), or None for a record without times.
        y: (N, m), NaN where an observation is missing.
        truth: for a state, its true values (N,).
        units: units of time.
        quantities: units and description of each column of y by name; empty if unknown.
    """

    path: str
    time: np.ndarray | None
    y: np.ndarray
    truth: Mapping[str, np.ndarray] = {}
    units: str = "s"
    quantities: Mapping[str, tuple[str, str]] = {}


def columns(
    path: str | None = None,
    about: str | None = None,
    time: str | None = "time",
    columns: tuple[str, ...] = ("y",),
    truth: Mapping[str, str] | None = None,
) -> Observations:
    """Read named columns of a CSV or NetCDF file; an empty field or NaN is a missing observation.

    Args:
        path: the file, as for `experiments.records.columns.read_input`.
        about: what the record is and where it is published; the message about a missing
            path shows it.
        time: name of the column of times in s; None for a record without one.
        columns: the columns observed, in the order of the estimator's observations.
        truth: for a state of the estimator, the column of its true values.
    """
    truth = dict(truth or {})
    named = [("input.time", time)] if time is not None else []
    named += [(f"input.columns[{i}]", column) for i, column in enumerate(columns)]
    named += [(f"input.truth.{state}", column) for state, column in truth.items()]
    if not columns:
        raise ValueError("input.columns: expected at least one column name, got an empty list")
    table = recorded.read_columns(recorded.require_path(path, about), named)
    return Observations(
        str(path),
        None if time is None else table[time],
        np.stack([table[column] for column in columns], axis=-1),
        {state: table[column] for state, column in truth.items()},
        quantities=recorded.read_quantities(str(path), columns),
    )


def series(
    values: tuple[Any, ...],
    start: float = 0.0,
    interval: float = 1.0,
    units: str = "s",
) -> Observations:
    """Observations that are written in the configuration.

    Args:
        values: a number, or a row of numbers, for each time; null is missing.
        start, interval: time of the first observation, and between two, in ``units``.
        units: units of time (UDUNITS).

    >>> series((1120, None, 963), start=1871, units="year").time.tolist()
    [1871.0, 1872.0, 1873.0]
    """
    try:
        y = np.asarray(values, float)  # None becomes NaN
    except (TypeError, ValueError):
        raise ValueError(
            f"values: expected numbers in rows of one length, got {values!r}"
        ) from None
    if len(y) < 2 or not interval > 0:
        raise ValueError(
            f"values: expected at least 2, at an interval above 0, got {len(y)} at {interval:g}"
        )
    time = start + interval * np.arange(len(y))
    return Observations("input.values", time, y.reshape(len(y), -1), units=units)


def pendulum(path: str | None = None, about: str | None = None) -> Observations:
    """Read a JSON file of times ``T``, states ``X`` (angle and its rate) and observations ``Y``."""
    text = _read_text(recorded.require_path(path, about))
    try:
        content = json.loads(text)
        time, states, y = (np.asarray(content[name], float) for name in "TXY")
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(
            f"input.path: {path}: expected JSON with numbers T, X and Y: {error!r}"
        ) from None
    if not states.shape == (2, len(time)) or y.shape != time.shape:
        raise OSError(
            f"input.path: {path}: expected X (2, N) and Y (N,) for T (N,), got "
            f"{states.shape}, {y.shape}, {time.shape}"
        )
    return Observations(
        str(path), time, y[:, None], {"angle": states[0], "angular_velocity": states[1]}
    )


def lidar_radar(path: str | None = None, about: str | None = None) -> Observations:
    """Read a text file of lidar rows ``L x y t …`` and radar rows ``R rho phi rho_dot t …``.

    t is in µs; the four numbers after it are the true position and velocity. An observation
    has five components, of which those of the other sensor are missing.
    """
    times, ys, truths = [], [], []
    for number, line in enumerate(_read_text(recorded.require_path(path, about)).splitlines(), 1):
        kind, *fields = line.split() or [""]
        if not kind:
            continue
        try:
            numbers = np.array(fields, float)
            size = {"L": 2, "R": 3}[kind]
            time, *truth = numbers[size : size + 5]
            _, _, _, _ = truth
        except (KeyError, ValueError):
            raise OSError(
                f"input.path: {path}: line {number}: expected a row 'L x y t ...' or "
                f"'R rho phi rho_dot t ...' of numbers, got {line[:40]!r}"
            ) from None
        y = np.full(5, np.nan)
        y[slice(2) if kind == "L" else slice(2, 5)] = numbers[:size]
        times.append(time)
        ys.append(y)
        truths.append(truth)
    if len(times) < 2:
        raise OSError(f"input.path: {path}: expected at least 2 rows, got {len(times)}")
    time = (np.array(times) - times[0]) * 1e-6
    return Observations(
        str(path),
        time,
        np.stack(ys),
        dict(zip(("px", "py", "vx", "vy"), np.stack(truths, axis=1), strict=True)),
    )


def _read_text(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise OSError(f"input.path: {path} is not a text file") from None
