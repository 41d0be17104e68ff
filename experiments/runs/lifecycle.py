"""A run's life: claimed, logged, stopped, resumed and summed up, whatever its task is."""

import importlib
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.cli.config import Config, config_hash, drop_unused_groups, validate_config
from experiments.cli.exit_codes import ExitCode
from experiments.cli.provenance import versions
from experiments.cli.targets import with_current_targets
from experiments.cli.tasks import find_task, task_package
from experiments.runs.directory import check_empty, claim_directory, timestamp, update_run_json
from experiments.runs.interface import Figure, Prepared, TaskEnd, TaskModule
from experiments.runs.log import catch_signals, log, log_to_file, record_failure
from experiments.runs.provenance import file_attributes, is_alive, provenance

STATUS = {
    ExitCode.DONE: "done",
    ExitCode.DIVERGED: "diverged",
    ExitCode.NOT_FINITE: "not finite",
    ExitCode.STOPPED: "stopped",
    ExitCode.INTERRUPTED: "interrupted",
}
ENDED = (ExitCode.DONE, ExitCode.DIVERGED, ExitCode.NOT_FINITE)  # with nothing left to resume


def start(values: Mapping[str, Any], overrides: Sequence[str], folder: str | None) -> int:
    """Make a new run; its exit code. Nothing is left behind when it cannot be prepared.

    Args:
        values: the configuration.
        overrides: of the command line, from which the configuration was composed.
        folder: the directory of the run where ``output.dir`` names none; None is a fresh one.
    """
    from omegaconf import OmegaConf

    values = _absolute_paths(drop_unused_groups(values, overrides))
    config = validate_config(values)
    folder = config.output.dir or folder
    if folder is not None:
        check_empty(Path(folder))
    prepared = _task_module(config).prepare(config)
    text = OmegaConf.to_yaml(OmegaConf.create(values))
    files = {"config.yaml": text, "overrides.yaml": OmegaConf.to_yaml(list(overrides))}
    directory = claim_directory(config, folder, files)
    update_run_json(
        directory,
        status="running",
        task=config.task,
        title=config.title or prepared.name.replace("_", " ").capitalize(),
        started=timestamp(),
        **provenance(config),
        config_hash=config_hash(values),
        record=prepared.data_hash,
    )
    return _execute(config, values, prepared, directory, resume=False)


def resume(directory: str, allow: Sequence[str]) -> int:
    """Go on with a stopped run from its last checkpoint; its exit code.

    Args:
        directory: of the run.
        allow: packages of the user's that it may build pieces of.
    """
    from omegaconf import OmegaConf

    path = Path(directory)
    if not (path / "run.json").is_file() or not (path / ".hydra" / "config.yaml").is_file():
        raise FileNotFoundError(f"resume: {path} is not the directory of a run")
    known = _read_run_json(path)
    if known["status"] in {STATUS[code] for code in ENDED}:
        raise ValueError(
            f"resume: expected a run that was stopped, got {path}, which is {known['status']}"
        )
    if known["status"] == "running" and is_alive(known):
        raise ValueError(f"resume: {path} is still running, as process {known['pid']}")
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
        **provenance(config),
        resumed=[*known.get("resumed", []), timestamp()],
    )
    return _execute(config, values, prepared, path, resume=True)


def _read_run_json(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "run.json").read_text(encoding="utf-8"))


def _absolute_paths(values: Any, key: str = "") -> Any:
    """A configuration with its paths made absolute, so that the run can go on from anywhere."""
    if isinstance(values, Mapping):
        return {name: _absolute_paths(value, name) for name, value in values.items()}
    if isinstance(values, list):
        return [_absolute_paths(value, key) for value in values]
    is_path = key == "path" or key.endswith("_path")
    return str(Path(values).resolve()) if is_path and isinstance(values, str) else values


def _task_module(config: Config) -> TaskModule:
    """The module ``task`` in the package of the run's task."""
    name = f"{task_package(config.task)}.task"
    module = importlib.import_module(name)
    if not isinstance(module, TaskModule):
        raise ValueError(f"task: expected {name} to define prepare, figure and run")
    return module


def _execute(
    config: Config,
    values: Mapping[str, Any],
    prepared: Prepared,
    directory: Path,
    *,
    resume: bool,
) -> int:
    """Run the task in its directory, and report how it ended."""
    from experiments.runs import metrics, summary
    from sim.stream import Diverged

    known, module = _read_run_json(directory), _task_module(config)
    figure, errors, status = module.figure(prepared), metrics.RunningErrors(prepared.references), {}
    end, outcome = None, {}

    def watch(first, dataset):
        figure.add(first, dataset)
        errors.add(dataset)

    with log_to_file(directory), catch_signals() as caught:
        log.info("%s %s", "resumed" if resume else "started", known["title"])
        with record_failure(directory):
            try:
                end = module.run(
                    prepared,
                    directory,
                    attributes=file_attributes(config, values, prepared, known),
                    identity=known["config_hash"],
                    resume=resume,
                    stop=lambda: bool(caught),
                    watch=watch,
                    report=lambda latest: status.update(latest._asdict()),
                )
            except Diverged as error:
                outcome["diverged"] = {
                    "step": error.step,
                    "time": error.time,
                    "variable": error.variable,
                    "message": str(error),
                }
        code = _exit_code(end, caught)
        if code == ExitCode.NOT_FINITE:
            outcome["message"] = end.message
        for name in ("compile_seconds", "run_seconds"):
            outcome[name] = round(known.get(name, 0.0) + status.get(name, 0.0), 6)
        scores = errors.scores() | dict(end.scores if end else {})
        if scores:
            outcome["metrics"] = scores
            metrics.write_metrics(directory / "metrics.csv", scores, prepared.quantities)
        drawn = _draw(config, figure, directory, known["title"]) if code in ENDED else None
        update_run_json(
            directory,
            status=STATUS[code],
            exit_code=int(code),
            ended=timestamp(),
            steps=status["step"],
            **outcome,
        )
        log.info("%s after %d steps", STATUS[code], status["step"])
    if end and end.finished and end.show:
        end.show()
    else:
        summary.print_summary(known["title"], prepared, directory, drawn, status, outcome)
    _print_reason(code, outcome, directory)
    return code


def _exit_code(end: TaskEnd | None, caught: Sequence[int]) -> ExitCode:
    """The code of a run by its end, None if it diverged, and by the signals it caught."""
    if end is None:
        return ExitCode.DIVERGED
    if not end.finished:
        return ExitCode.STOPPED if caught[0] == signal.SIGTERM else ExitCode.INTERRUPTED
    return ExitCode.NOT_FINITE if end.message else ExitCode.DONE


def _draw(config: Config, figure: Figure, directory: Path, title: str) -> Path | None:
    """Draw the figure that the configuration asks for, and return its path."""
    if config.output.figure is None:
        return None
    name = find_task(config.task, config.allow).figure_name
    path = directory / f"{name}.{config.output.figure}"
    with record_failure(directory):
        figure.draw(path, title)
    return path


def _print_reason(code: ExitCode, outcome: Mapping[str, Any], directory: Path) -> None:
    """Print to stderr why a run ended before it was done."""
    reasons = {
        ExitCode.DIVERGED: outcome.get("diverged", {}).get("message"),
        ExitCode.NOT_FINITE: outcome.get("message"),
        ExitCode.STOPPED: f"stopped by SIGTERM; go on with: scansim resume={directory}",
        ExitCode.INTERRUPTED: f"interrupted; go on with: scansim resume={directory}",
    }
    if reasons.get(code):
        sys.stdout.flush()
        print(f"scansim: {reasons[code]}", file=sys.stderr)
