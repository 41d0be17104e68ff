"""A run's life: claimed, logged, stopped, resumed and summed up, whatever its task is."""

import importlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from experiments.cli.config import Config, config_hash, drop_unused_groups, validate_config
from experiments.cli.provenance import commit, versions
from experiments.cli.targets import with_current_targets
from experiments.cli.tasks import find_task, task_package
from experiments.runs.directory import check_empty, claim_directory, timestamp, update_run_json
from experiments.runs.interface import Prepared, TaskModule

DONE, DIVERGED, NOT_FINITE, STOPPED, INTERRUPTED = 0, 3, 5, 75, 130
log = logging.getLogger("scansim")


def start(values: Mapping[str, Any], overrides: Sequence[str], folder: str | None) -> int:
    """A new run; its exit code. Nothing is left behind when it cannot be prepared."""
    from omegaconf import OmegaConf

    values = _absolute_paths(drop_unused_groups(values, overrides))
    config = validate_config(values)
    folder = config.output.dir or folder
    if folder is not None:
        check_empty(Path(folder))
    prepared = _task_module(config).prepare(config)
    text = OmegaConf.to_yaml(OmegaConf.create(dict(values)))
    files = {"config.yaml": text, "overrides.yaml": OmegaConf.to_yaml(list(overrides))}
    directory = claim_directory(config, folder, files)
    update_run_json(
        directory,
        status="running",
        task=config.task,
        title=_run_title(config, prepared),
        started=timestamp(),
        **_provenance(config),
        config_hash=config_hash(values),
        record=prepared.data_hash,
    )
    return _execute(config, values, prepared, directory, resume=False)


def resume(directory: str, allow: Sequence[str]) -> int:
    """Go on with a stopped run from its last checkpoint; its exit code."""
    from omegaconf import OmegaConf

    path = Path(directory)
    if not (path / "run.json").is_file() or not (path / ".hydra" / "config.yaml").is_file():
        raise FileNotFoundError(f"resume: {path} is not the directory of a run")
    known = json.loads((path / "run.json").read_text(encoding="utf-8"))
    if known["status"] in ("done", "diverged", "not finite"):
        raise ValueError(
            f"resume: expected a run that was stopped, got {path}, which is {known['status']}"
        )
    if known["status"] == "running" and _is_alive(known):
        raise ValueError(f"resume: {path} is running still, as process {known['pid']}")
    if not (path / "checkpoints" / "latest.npz").is_file():
        raise FileNotFoundError(f"resume: {path} was stopped before its first checkpoint")
    stored = OmegaConf.to_container(OmegaConf.load(path / ".hydra" / "config.yaml"))
    values = with_current_targets(stored)
    config = validate_config({**values, "allow": list(allow)})
    prepared = _task_module(config).prepare(config)
    if known.get("record") not in (None, prepared.data_hash):
        raise ValueError(
            f"resume: the records are not those that {path} began with; begin it again"
        )
    if known["versions"] != versions():
        log.warning("the versions are not those the run began with")
    update_run_json(
        path,
        status="running",
        **_provenance(config),
        resumed=[*known.get("resumed", []), timestamp()],
    )
    return _execute(config, values, prepared, path, resume=True)


def _absolute_paths(values):
    """The record's path made absolute, so that the run can go on from anywhere."""
    values = dict(values)
    for group, key in (("input", "path"), ("data", "path"), ("data", "test_path")):
        path = (values.get(group) or {}).get(key)
        if isinstance(path, str):
            values[group] = {**values[group], key: str(Path(path).resolve())}
        elif isinstance(path, list):
            values[group] = {**values[group], key: [str(Path(p).resolve()) for p in path]}
    for key in ("train", "validation", "test") if values.get("data") else ():
        parts = values["data"].get(key)
        if isinstance(parts, list):
            parts = [
                p | {"path": str(Path(p["path"]).resolve())}
                if isinstance(p, dict) and isinstance(p.get("path"), str)
                else p
                for p in parts
            ]
            values["data"] = {**values["data"], key: parts}
    return values


def _task_module(config: Config) -> TaskModule:
    """The module ``task`` in the package of the run's task."""
    name = f"{task_package(config.task)}.task"
    module = importlib.import_module(name)
    if not isinstance(module, TaskModule):
        raise ValueError(f"task: expected {name} to define prepare, figure and run")
    return module


def _run_title(config: Config, prepared: Prepared) -> str:
    return config.title or prepared.name.replace("_", " ").capitalize()


def _provenance(config):
    import jax

    device = jax.devices()[0]
    return {
        "versions": versions(),
        "commit": commit(),
        "device": f"{device.platform}: {device.device_kind}",
        "precision": config.runtime.precision,
        "seed": config.seed,
        "pid": os.getpid(),
        "host": socket.gethostname(),
    }


def _is_alive(known):
    if known.get("host") != socket.gethostname():
        return False
    try:
        os.kill(known["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return known["pid"] != os.getpid()


def _execute(config, values, prepared, directory, *, resume) -> int:
    from experiments.runs import metrics, summary
    from sim.stream import Diverged

    known = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    attributes = _attributes(config, values, prepared, known)
    picture = _task_module(config).figure(prepared)
    errors = metrics.RunningErrors(prepared.measured)
    last = {}

    def watch(first, dataset):
        picture.add(first, dataset)
        errors.add(dataset)

    with _log_to_file(directory), _catch_signals() as caught:
        log.info("%s %s", "resumed" if resume else "started", known["title"])
        code, outcome, end = DONE, {}, None
        try:
            end = _task_module(config).run(
                prepared,
                directory,
                attributes=attributes,
                identity=known["config_hash"],
                resume=resume,
                stop=lambda: bool(caught),
                watch=watch,
                report=lambda status: last.update(status._asdict()),
            )
            if not end.finished:
                code = STOPPED if caught[0] == signal.SIGTERM else INTERRUPTED
            elif end.message:
                code, outcome["message"] = NOT_FINITE, end.message
        except Diverged as error:
            code = DIVERGED
            outcome["diverged"] = {
                "step": error.step,
                "time": error.time,
                "variable": error.variable,
                "message": str(error),
            }
        except BaseException as error:
            _record_failure(directory, error)
            raise
        for name in ("compile_seconds", "run_seconds"):
            outcome[name] = round(known.get(name, 0.0) + last.get(name, 0.0), 6)
        scores = errors.scores() | dict(end.scores if end else {})
        if scores:
            outcome["metrics"] = scores
            metrics.write_metrics(directory / "metrics.csv", scores, prepared.quantities)
        drawn = None
        if config.output.figure and code in (DONE, DIVERGED, NOT_FINITE):
            name = find_task(config.task, config.allow).figure_name
            drawn = directory / f"{name}.{config.output.figure}"
            try:
                picture.draw(drawn, known["title"])
            except Exception as error:
                _record_failure(directory, error)
                raise
        words = {DONE: "done", DIVERGED: "diverged", NOT_FINITE: "not finite", STOPPED: "stopped"}
        status = words.get(code, "interrupted")
        update_run_json(
            directory,
            status=status,
            exit_code=code,
            ended=timestamp(),
            steps=last["step"],
            **outcome,
        )
        log.info("%s after %d steps", status, last["step"])
    if code in (DONE, NOT_FINITE) and end.show:
        end.show()
    else:
        summary.print_summary(known["title"], prepared, directory, drawn, last, outcome)
    reason = _why_not_done(code, outcome, directory)
    if reason:
        sys.stdout.flush()
        print(f"scansim: {reason}", file=sys.stderr)
    return code


def _why_not_done(code: int, outcome: Mapping[str, Any], directory: Path) -> str:
    """Why a run ended before it was done, in one line; empty if it was."""
    reasons = {
        DIVERGED: outcome.get("diverged", {}).get("message", ""),
        NOT_FINITE: outcome.get("message", ""),
        STOPPED: f"stopped at the request of the system; go on with: scansim resume={directory}",
        INTERRUPTED: f"interrupted; go on with: scansim resume={directory}",
    }
    return reasons.get(code, "")


def _attributes(config, values, prepared, known):
    from omegaconf import OmegaConf

    return {
        "title": known["title"],
        "source": f"scansim {known['versions']['scansim']}",
        "versions": ", ".join(f"{name} {number}" for name, number in known["versions"].items()),
        **prepared.attributes,
        "t0": prepared.t0,
        "dt": prepared.dt,
        "substeps": config.substeps,
        "seed": config.seed,
        "precision": config.runtime.precision,
        "config": OmegaConf.to_yaml(OmegaConf.create(dict(values))),
        "config_hash": known["config_hash"],
        "commit": known["commit"],
    }


def _record_failure(directory, error):
    """The traceback to run.log, the status to run.json, and where it is to the message."""
    log.exception("failed")
    interrupted = isinstance(error, KeyboardInterrupt)
    with suppress(OSError):  # on a full disk the first error is the one to tell
        update_run_json(
            directory,
            status="interrupted" if interrupted else "failed",
            ended=timestamp(),
            message=f"{type(error).__name__}: {error}",
        )
    error.add_note(f" (traceback in {directory / 'run.log'})")


@contextmanager
def _log_to_file(directory) -> Iterator[None]:
    handler = logging.FileHandler(directory / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
        log.setLevel(level)
        log.propagate = propagate


@contextmanager
def _catch_signals() -> Iterator[list[int]]:
    """SIGTERM and SIGINT are noted, for the next chunk; a second one ends at once."""
    caught: list[int] = []

    def note(number, frame):
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        log.info("signal %d: stopping at the next chunk, at %s", number, time.strftime("%H:%M:%S"))

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
