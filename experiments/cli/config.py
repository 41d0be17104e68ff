"""The top level of a configuration, checked before anything heavy is imported.

A group names a piece (``_target_``), whose own signature is its schema; which groups and
further keys there are is in the record of the task (`experiments.cli.tasks.Task`); what all
tasks share is here.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from experiments.cli.instantiate import convert, instantiate
from experiments.cli.messages import suggest
from experiments.cli.overrides import parse_overrides
from experiments.cli.targets import check_target
from experiments.cli.tasks import Task, find_task, project_tasks

MOST_STEPS = 10**12  # more would run for days and fill any disk

Part = Literal["mean", "sd", "covariance", "predicted", "innovation", "loglik"]


@dataclass(frozen=True)
class Output:
    """The files of a run.

    dir: the run directory, new or empty; null is runs/<task>/<time>-<6 hex>.
    save_every: every how many steps (of dt) the state is kept.
    chunk: steps compiled, written and checkpointed at a time; null chooses.
    figure: format of the figure, or null for none.
    phase: the two quantities of the phase plane in the figure; null chooses.
    keep: parts of an estimate to write; null is mean and sd.
    """

    dir: str | None = None
    save_every: int = 1
    chunk: int | None = None
    figure: Literal["png", "pdf", "svg"] | None = "png"
    phase: tuple[str, ...] | None = None
    keep: tuple[Part, ...] | None = None


@dataclass(frozen=True)
class Runtime:
    """The precision and the platform of a run; null is the platform that JAX prefers."""

    precision: Literal["float64", "float32"] = "float64"
    platform: Literal["cpu", "gpu", "tpu"] | None = None


@dataclass(frozen=True)
class Config:
    """A whole run.

    task: the name of the task, or the dotted path of its package.
    groups: the pieces that are chosen, by group: each a ``_target_`` and its arguments.
    keys: the task's own keys, an instance of its `Task.keys`.
    title: one line for the summary, the figure and the file.
    dt: step length and sample interval, s; negative runs backwards in time; null
        takes it from the recorded input.
    duration: s, rounded to whole steps; null is the length of the recorded input.
    t0: time of the initial state, s; null is 0, or the first time of the recorded input.
    substeps: integrator steps in every dt.
    seed: of whatever is random in the input, or in the start of a network.
    allow: packages of the user's whose pieces may be built.
    resume: the directory of a stopped run to go on with.
    """

    task: str
    groups: Mapping[str, Mapping[str, Any]]
    keys: Any
    output: Output
    runtime: Runtime
    title: str | None = None
    dt: float | None = None
    duration: float | None = None
    t0: float | None = None
    substeps: int = 1
    seed: int = 0
    allow: tuple[str, ...] = ()
    resume: str | None = None

    def target(self, group: str) -> str | None:
        """The dotted path of the piece that a group names; None where none is chosen."""
        return self.groups.get(group, {}).get("_target_")


COMMON_KEYS = {field.name for field in fields(Config)} - {"groups", "keys"}


def validate_config(values: Mapping[str, Any]) -> Config:
    """Check a configuration and return it as a `Config`; imports no JAX.

    Raises:
        ValueError: a key or a value is wrong; the message names it.
    """
    allow = convert("allow", tuple[str, ...], values.get("allow", []))
    task = find_task(values.get("task"), allow)
    _check_keys_of_other_tasks(values, task)
    others = {key for other in project_tasks().values() for key in other.defaults}
    known = COMMON_KEYS | set(task.all_groups) | set(task.defaults)
    for key in values.keys() - known - others:
        raise ValueError(f"{key}: unknown key; {suggest(key, known)}")
    config = instantiate(
        Config,
        {key: values[key] for key in values if key in COMMON_KEYS},
        given={
            "groups": _chosen_pieces(values, task),
            "keys": instantiate(task.keys, {k: values[k] for k in task.defaults if k in values}),
        },
    )
    _check_numbers(config)
    _check_output(config.output, config.task, task)
    _check_pieces(config, task)
    if "input" in config.groups and config.target("input") is None:
        _check_without_input(config, task)
    return config


def _chosen_pieces(values: Mapping[str, Any], task: Task) -> dict[str, Mapping[str, Any]]:
    """The pieces by group; an optional group is not chosen if its ``_target_`` is null."""
    kind = Mapping[str, Any] | None
    pieces = {group: convert(group, kind, values.get(group)) for group in task.all_groups}
    return {
        group: piece
        for group, piece in pieces.items()
        if piece is not None
        and (group not in task.optional_groups or piece.get("_target_", "") is not None)
    }


def _check_pieces(config: Config, task: Task) -> None:
    """Raise ValueError unless every group that the task needs names a permitted piece."""
    for group in task.required_groups(config.groups):
        if group not in config.groups:
            raise ValueError(
                f"{group}: expected one for task={config.task}, got nothing; "
                "scansim --help lists them"
            )
    for group, piece in config.groups.items():
        if "_target_" not in piece:
            raise ValueError(f"{group}._target_: expected the dotted path of a piece, got nothing")
        if group != "input" or piece["_target_"] is not None:
            check_target(f"{group}._target_", piece["_target_"], config.allow)


def _check_keys_of_other_tasks(values: Mapping[str, Any], task: Task) -> None:
    """Raise ValueError unless the keys that only other tasks have are at their defaults."""
    for other in project_tasks().values():
        for key, default in other.defaults.items():
            if key not in task.defaults and values.get(key, default) != default:
                raise ValueError(
                    f"{key}: expected {_to_yaml(default)} for task={values['task']}, "
                    f"got {_to_yaml(values[key])}"
                )


def _check_numbers(config: Config) -> None:
    """Raise ValueError unless the numbers of the run are in their ranges."""
    _check_at_least("substeps", config.substeps, 1)
    _check_at_least("seed", config.seed, 0)
    if config.seed >= 2**32:  # JAX in single precision reads no more bits of it
        raise ValueError(f"seed: expected a whole number below 2**32, got {config.seed}")
    if config.dt == 0:
        raise ValueError("dt: expected a step length in s other than 0, got 0.0")
    if config.duration is not None and config.duration <= 0:
        raise ValueError(
            f"duration: expected a positive number of s, got {config.duration:g} "
            "(to run backwards in time, make dt negative)"
        )
    if config.dt and config.duration and config.duration / abs(config.dt) > MOST_STEPS:
        raise ValueError(
            f"duration: expected at most {MOST_STEPS:.0e} steps of dt, "
            f"got {config.duration / abs(config.dt):.3g}"
        )


def _check_output(output: Output, name: str, task: Task) -> None:
    """Raise ValueError unless the keys of the output fit the task and each other."""
    _check_at_least("output.save_every", output.save_every, 1)
    if output.chunk is not None:
        _check_at_least("output.chunk", output.chunk, 2)
        if output.chunk % output.save_every:
            raise ValueError(
                f"output.chunk: expected a multiple of output.save_every, "
                f"{output.save_every}, got {output.chunk}"
            )
    for key in task.unused_output:
        value = vars(output)[key]
        if value is not None:
            raise ValueError(f"output.{key}: expected null for task={name}, got {value}")


def _check_without_input(config: Config, task: Task) -> None:
    """Raise ValueError unless the task can run without an input, on a clock of its own."""
    if task.record:
        raise ValueError(
            f"input: expected {task.record}, such as input=nile or input=observations, got none"
        )
    if None in (config.dt, config.duration):
        missing = "dt" if config.dt is None else "duration"
        raise ValueError(f"{missing}: expected a number of s, because there is no recorded input")


def drop_unused_groups(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration without the groups that its task does not use.

    Raises:
        ValueError: the command line chooses one of those.
    """
    name, given = values.get("task"), parse_overrides(overrides)
    task = find_task(name, values.get("allow") or ())
    used = (*task.required_groups(values), *task.optional_groups)
    unused = set(all_groups([task])) - set(used)
    for override in given:
        if override.group in unused:
            raise ValueError(
                f"{override.group}: expected none for task={name}, which takes "
                f"{', '.join(used)}; got {override.text}"
            )
        if override.key in task.keys_from_record and override.value != "null":
            raise ValueError(
                f"{override.key}: expected nothing for task={name}, which takes it from the "
                f"record; got {override.value}"
            )
    left = {key: value for key, value in values.items() if key not in unused}
    left |= {key: None for key in task.keys_from_record if key in left}
    # Without a recipe dt is the user's, or the record's.
    if task.keys_from_record and not {"dt", "experiment"} & {o.key for o in given}:
        left["dt"] = None
    return left


def all_groups(tasks: Iterable[Task] = ()) -> list[str]:
    """The groups of the project's tasks, and of others."""
    tasks = (*project_tasks().values(), *tasks)
    return list(dict.fromkeys(group for task in tasks for group in task.all_groups))


def count_steps(duration: float, dt: float) -> int:
    """The whole number of steps nearest to a duration, at least 1.

    >>> count_steps(1.0, 0.3), count_steps(1.0, -0.25)
    (3, 4)
    """
    return max(1, math.floor(duration / abs(dt) + 0.5))


def config_hash(values: Mapping[str, Any]) -> str:
    """12 hex digits of the configuration, without the keys that do not change the results."""
    plain = {k: v for k, v in values.items() if k not in ("resume", "output")}
    output = {k: v for k, v in values["output"].items() if k not in ("dir", "figure", "phase")}
    text = json.dumps({**plain, "output": output}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _to_yaml(value):
    """A value as it is written in a configuration."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_at_least(name, value, least):
    """Raise ValueError unless a number is at least another."""
    if value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {value}")
