"""What a run over a record is given: its observations and their times, held against the run's keys."""

import numpy as np

from experiments.cli.config import Config, count_steps
from experiments.cli.pieces import build_piece
from experiments.cli.tasks import find_task
from experiments.records import columns as recorded
from experiments.records.observations import Observations


def select_times(
    config: Config, source: Observations, any_times: bool = False
) -> tuple[np.ndarray, float | None]:
    """The times of the observations to use, and what is between them, if that is one number."""
    dt = None
    if source.time is not None:
        recorded.check_increasing(source.path, source.time)
    if not (any_times and source.time is not None and _is_irregular(source.time)):
        try:
            dt = recorded.sample_interval_of(source, config.dt)
        except OSError as error:
            hint = "; estimator=linear and estimator=continuous take any times"
            raise OSError(f"{error}{hint if config.task == 'estimate' else ''}") from None
        if dt <= 0:
            raise ValueError(f"dt: expected a positive interval of the observations, got {dt:g}")
    elif config.dt is not None:
        raise ValueError(
            f"dt: expected null, because the times of {source.path} are irregular, "
            f"got {config.dt:g}"
        )
    first = 0.0 if source.time is None else float(source.time[0])
    count = len(source.y)
    since = source.time - first if dt is None else dt * np.arange(count)
    if config.duration is not None:
        wanted = (
            count_steps(config.duration, dt) + 1 if dt else int(np.sum(since <= config.duration))
        )
        if wanted > count or (dt is None and config.duration > since[-1]):
            raise ValueError(
                f"duration: expected at most {since[-1]:g}, the length of "
                f"{source.path}, got {config.duration:g}"
            )
        count = max(wanted, 2)
    return (first if config.t0 is None else config.t0) + since[:count], dt


def _is_irregular(time):
    from sim.inputs import sample_interval

    try:
        sample_interval(time)
    except ValueError:
        return True
    return False


def read_observations(config: Config) -> Observations:
    """The record that the configuration names, read."""
    target = config.target("input")
    if "hold" in config.groups["input"]:
        raise ValueError(
            f"input: expected {find_task(config.task, config.allow).record}, such as input=nile "
            f"or input=observations, got {target}, which drives a simulation"
        )
    found = build_piece(config, "input")
    if not isinstance(found, Observations):
        raise ValueError(
            f"input._target_: expected a function that returns Observations, got "
            f"{type(found).__name__} from {target}"
        )
    if np.isnan(found.y).all():
        raise OSError(f"input.path: {found.path}: expected an observation, got none but NaN")
    return found
