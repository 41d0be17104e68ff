"""The top level of a configuration, checked before anything heavy is imported.

The groups that a task uses (`PIECES`) name a piece each (`_target_`), whose own signature
is their schema; the rest is here.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experiments.cli.instantiate import instantiate
from experiments.cli.targets import check_target

PIECES = {
    "simulate": ("model", "integrator", "input"),
    "estimate": ("estimator", "input"),
    "filter": ("design", "input"),
    "fit": ("model", "integrator", "data", "fit"),
    "learn": ("network", "data", "learn"),
}
OPTIONAL_PIECES = {
    "simulate": (),
    "estimate": ("update",),
    "filter": (),
    "fit": (),
    "learn": ("model", "integrator"),
}
PHYSICAL = "experiments.learn.networks.correction"  # the one network that takes those
PURPOSE = {"estimate": "observations to estimate from", "filter": "a record to filter"}
# Keys of the output that a task has no use for, and keys of the top level that one alone has.
UNUSED_OUTPUT = {
    "simulate": ("keep",),
    "estimate": ("chunk", "phase"),
    "filter": ("chunk", "phase", "keep"),
    "fit": ("chunk", "phase", "keep"),
    "learn": ("chunk", "phase", "keep"),
}
KEYS_OF_ONE_TASK = {"forecast": "estimate", "zero_phase": "filter", "gap": "filter"}
# What a record decides, so that a fit has no use for it, or takes its own default.
FROM_RECORD = dict.fromkeys(("fit", "learn"), ("duration", "t0", "output.save_every"))
MOST_STEPS = 10**12  # more would run for a day and fill any disk


Part = Literal["mean", "sd", "covariance", "predicted", "innovation", "loglik"]


@dataclass(frozen=True)
class Output:
    """What a run leaves behind.

    dir: the run directory, new or empty; null is runs/<task>/<time>-<6 hex>.
    save_every: every how many steps (of dt) the state is kept.
    chunk: steps compiled, written and checkpointed at a time; null chooses.
    figure: format of the figure, or null for none.
    phase: the two quantities of the phase plane in the figure; null chooses.
    keep: parts of an estimate that are written; null is mean and sd.
    """

    dir: str | None = None
    save_every: int = 1
    chunk: int | None = None
    figure: Literal["png", "pdf", "svg"] | None = "png"
    phase: tuple[str, ...] | None = None
    keep: tuple[Part, ...] | None = None


@dataclass(frozen=True)
class Runtime:
    """Where and how exactly a run computes; null is the platform that JAX prefers."""

    precision: Literal["float64", "float32"] = "float64"
    platform: Literal["cpu", "gpu", "tpu"] | None = None


@dataclass(frozen=True)
class Config:
    """A whole run.

    title: one line for the summary, the figure and the file.
    dt: step length and sample interval, s; negative runs backwards in time; null
        takes it from the recorded input.
    duration: s, rounded to whole steps; null is the length of the recorded input.
    t0: time of the initial state, s; null is 0, or the first time of the recorded input.
    substeps: integrator steps in every dt.
    seed: of whatever is random in the input, or in the start of a network.
    forecast: of an estimate, steps beyond the end of the record.
    zero_phase: of a filter, whether it runs forwards and backwards, without delay.
    gap: of a filter, what it does at a missing sample: raise, hold the value before it,
        or propagate it.
    """

    task: Literal["simulate", "estimate", "filter", "fit", "learn"]
    output: Output
    runtime: Runtime
    input: Mapping[str, Any] | None = None
    model: Mapping[str, Any] | None = None
    integrator: Mapping[str, Any] | None = None
    estimator: Mapping[str, Any] | None = None
    update: Mapping[str, Any] | None = None
    design: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    fit: Mapping[str, Any] | None = None
    network: Mapping[str, Any] | None = None
    learn: Mapping[str, Any] | None = None
    title: str | None = None
    dt: float | None = None
    duration: float | None = None
    t0: float | None = None
    substeps: int = 1
    seed: int = 0
    forecast: int = 0
    zero_phase: bool = False
    gap: Literal["raise", "hold", "propagate"] = "raise"
    allow: tuple[str, ...] = ()
    resume: str | None = None


def validate_config(values: Mapping[str, Any]) -> Config:
    """The configuration as a `Config`; raises ValueError by name, imports no JAX."""
    config = instantiate(Config, values)
    for name in ("substeps", "output.save_every"):
        _at_least(name, _get(config, name), 1)
    if config.output.chunk is not None:
        _at_least("output.chunk", config.output.chunk, 2)
        if config.output.chunk % config.output.save_every:
            raise ValueError(
                f"output.chunk: expected a multiple of output.save_every, "
                f"{config.output.save_every}, got {config.output.chunk}"
            )
    for name in UNUSED_OUTPUT[config.task]:
        if getattr(config.output, name) is not None:
            raise ValueError(
                f"output.{name}: expected null for task={config.task}, "
                f"got {getattr(config.output, name)}"
            )
    for name in ("seed", "forecast"):
        _at_least(name, getattr(config, name), 0)
    if (
        config.seed >= 2**32
    ):  # of which a generator of random numbers in single precision sees no more
        raise ValueError(f"seed: expected a whole number below 2**32, got {config.seed}")
    for name, task in KEYS_OF_ONE_TASK.items():
        default = Config.__dataclass_fields__[name].default
        if config.task != task and getattr(config, name) != default:
            raise ValueError(
                f"{name}: expected {_in_yaml(default)} for task={config.task}, "
                f"got {_in_yaml(getattr(config, name))}"
            )
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
    for group in (*PIECES[config.task], *OPTIONAL_PIECES[config.task]):
        piece = getattr(config, group)
        if group in OPTIONAL_PIECES[config.task] and (
            piece is None or piece.get("_target_", "") is None
        ):
            continue
        if piece is None:
            raise ValueError(
                f"{group}: expected one for task={config.task}, got nothing; "
                "scansim --help lists them"
            )
        if "_target_" not in piece:
            raise ValueError(f"{group}._target_: expected the dotted path of a piece, got nothing")
        if group != "input" or piece["_target_"] is not None:
            check_target(f"{group}._target_", piece["_target_"], config.allow)
    if config.input is not None and config.input["_target_"] is None:
        _check_clock(config)
    return config


def _check_clock(config):
    if config.task in PURPOSE:
        raise ValueError(
            f"input: expected {PURPOSE[config.task]}, such as input=nile or "
            "input=observations, got none"
        )
    if None in (config.dt, config.duration):
        missing = "dt" if config.dt is None else "duration"
        raise ValueError(f"{missing}: expected a number of s, because there is no recorded input")


def drop_unused_groups(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration without the groups that its task does not use.

    Raises:
        ValueError: the command line chooses one of those.
    """
    task = values.get("task")
    used = PIECES.get(task, ()) + OPTIONAL_PIECES.get(task, ()) if isinstance(task, str) else ()
    if task == "learn" and (values.get("network") or {}).get("_target_") != PHYSICAL:
        used = PIECES[task]
    groups = {
        group
        for known in (PIECES, OPTIONAL_PIECES)
        for groups in known.values()
        for group in groups
    }
    idle = groups - set(used) if used else set()
    for override in overrides:
        group = re.split(r"[.=]", override.lstrip("+"))[0]
        if group in idle:
            raise ValueError(
                f"{group}: expected none for task={task}, which takes "
                f"{', '.join(used)}; got {override}"
            )
        key, _, given = override.lstrip("+").partition("=")
        if key in FROM_RECORD.get(task, ()) and given != "null":
            raise ValueError(
                f"{key}: expected nothing for task={task}, which takes it from the record; "
                f"got {given}"
            )
    left = {key: value for key, value in values.items() if key not in idle}
    if task in FROM_RECORD:
        left["duration"] = left["t0"] = None
        # Without a recipe dt is the user's own word, or the record's.
        if not any(re.match(r"\+*(dt|experiment)=", override) for override in overrides):
            left["dt"] = None
    return left


def count_steps(duration: float, dt: float) -> int:
    """The whole number of steps nearest to a duration, at least 1.

    >>> count_steps(1.0, 0.3), count_steps(1.0, -0.25)
    (3, 4)
    """
    return max(1, math.floor(duration / abs(dt) + 0.5))


def config_hash(values: Mapping[str, Any]) -> str:
    """12 hex digits of the configuration, the same for the same run wherever it is kept."""
    plain = {k: v for k, v in values.items() if k not in ("resume", "output")}
    output = {k: v for k, v in values["output"].items() if k not in ("dir", "figure", "phase")}
    text = json.dumps({**plain, "output": output}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _in_yaml(value):
    """A value as it is written in a configuration."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _get(config, dotted):
    for name in dotted.split("."):
        config = getattr(config, name)
    return config


def _at_least(name, value, least):
    if value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {value}")
