"""The observations of a run and their times, checked against its configuration."""

import numpy as np

from experiments.cli.config import Config, count_steps
from experiments.cli.pieces import build_piece
from experiments.cli.tasks import find_task
from experiments.records import columns as recorded
from experiments.records.columns import IrregularTimes
from experiments.records.observations import Observations


def select_times(
    config: Config, source: Observations, any_times: bool = False
) -> tuple[np.ndarray, float | None]:
    """The times (N,) of the observations to use, and their interval, or None if it varies.

    Args:
        config: the run.
        source: the observations.
        any_times: whether irregular times will do.

    Raises:
        OSError: the times do not increase.
        IrregularTimes: they are irregular where they may not be.
        ValueError: dt or duration disagrees with the record.
    """
    if source.time is not None:
        recorded.check_increasing(source.path, source.time)
    try:
        dt = recorded.sample_interval_of(source, config.dt)
    except IrregularTimes:
        if not any_times:
            raise
        if config.dt is not None:
            raise ValueError(
                f"dt: expected null, because the times of {source.path} are irregular, "
                f"got {config.dt:g}"
            ) from None
        dt = None
    if dt is not None and dt <= 0:
        raise ValueError(f"dt: expected a positive interval of the observations, got {dt:g}")
    first = 0.0 if source.time is None else float(source.time[0])
    count = len(source.y)
    elapsed = source.time - first if dt is None else dt * np.arange(count)
    if config.duration is not None:
        if dt is None:
            wanted = int(np.sum(elapsed <= config.duration))
        else:
            wanted = count_steps(config.duration, dt) + 1
        if wanted > count or (dt is None and config.duration > elapsed[-1]):
            raise ValueError(
                f"duration: expected at most {elapsed[-1]:g}, the length of "
                f"{source.path}, got {config.duration:g}"
            )
        count = max(wanted, 2)
    return (first if config.t0 is None else config.t0) + elapsed[:count], dt


def read_observations(config: Config) -> Observations:
    """Read the record that the configuration names.

    Raises:
        ValueError: the input is no function that returns `Observations`.
        OSError: the record cannot be read, or holds no observation.
    """
    target = config.target("input")
    if "hold" in config.groups["input"]:
        raise ValueError(
            f"input: expected {find_task(config.task, config.allow).record}, such as input=nile "
            f"or input=observations, got {target}, which drives a simulation"
        )
    observations = build_piece(config, "input")
    if not isinstance(observations, Observations):
        raise ValueError(
            f"input._target_: expected a function that returns Observations, got "
            f"{type(observations).__name__} from {target}"
        )
    if np.isnan(observations.y).all():
        raise OSError(f"input.path: {observations.path}: expected an observation, got none but NaN")
    return observations
