"""The task `learn`: a network trained on records, alone or beside physics, and its scores."""

import time as clock
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.cli.config import Config
from experiments.cli.pieces import build_piece
from experiments.identification.checks import check_precision
from experiments.identification.data import Data
from experiments.identification.experiments import common_interval
from experiments.identification.prepared import Prepared
from experiments.identification.results import (
    TracePlot,
    rmse_scores,
    summary_printer,
    write_results,
)
from experiments.runs.interface import RunSummary, TaskEnd
from experiments.runs.precision import precision


def prepare(config: Config) -> Prepared:
    """Read the records, make the networks, and make the first evaluation of each.

    Raises:
        ValueError: a key, a value, a name or a size is wrong, or the model diverges.
        OSError: a record cannot be read.
    """
    from experiments.identification.config_keys import reword_error
    from experiments.learn.networks import Correction, Network
    from experiments.learn.preparation import prepare_hybrid, prepare_network
    from experiments.learn.training import CONFIG_KEYS, TrainingOptions
    from sim.fit.linear_models.n4sid import ConstantColumn

    data = build_piece(config, "data", (Data,))
    options = build_piece(config, "learn", (TrainingOptions,))
    dt = common_interval(data, config.dt)
    check_precision(data, config.runtime.precision)
    _check_lengths(data, options)
    with precision(config):
        tic = clock.perf_counter()
        network = build_piece(config, "network", (Network, Correction))
        arguments = config, data, dt, network, options
        try:
            if isinstance(network, Network):
                records, setup, search = prepare_network(*arguments)
                name = network.name
            else:
                records, setup, search, model = prepare_hybrid(*arguments)
                name = f"{model.replace('_', ' ')} with a network"
        except ConstantColumn as error:
            key = "input" if error.argument == "u" else "output"
            column = (data.inputs if key == "input" else data.outputs)[error.column]
            raise ValueError(
                f"data.{key}: expected a record that varies, got column {column!r} constant: it "
                "tells nothing of the dynamics"
            ) from None
        except ValueError as error:
            raise ValueError(reword_error(error, CONFIG_KEYS)) from None
        search = search._replace(seconds=clock.perf_counter() - tic)
        title = config.title or f"{name[:1].upper()}{name[1:]}, trained"
        unit = ("pass", "passes") if options.window else ("evaluation", "evaluations")
        details = f"of a training, {config.runtime.precision}"
        summary = RunSummary(unit, details, separate_compile=False)
        return Prepared(config, name, title, options, records, setup, search, summary)


def _check_lengths(data, options):
    """Raise ValueError unless each record is longer than its samples that do not count."""
    for record in data.training:
        if options.states == "fixed" and len(record.y) <= options.warmup:
            raise ValueError(
                f"learn.warmup: expected fewer than the {len(record.y)} samples of "
                f"{record.part.name}, got {options.warmup}"
            )
    for record in data.validation:
        if len(record.y) <= record.part.known:
            raise ValueError(
                f"data.validation: {record.part.name}: expected known samples fewer than "
                f"its {len(record.y)}, got {record.part.known}"
            )


def figure(prepared: Prepared) -> TracePlot:
    """The figure of the run."""
    return TracePlot()


def run(
    prepared: Prepared,
    directory: Path,
    *,
    attributes: Mapping[str, Any],
    resume: bool,
    stop: Callable,
    watch: Callable,
    report: Callable,
    **_: Any,
) -> TaskEnd:
    """Train, and write ``network.nc``, ``learn.nc`` and ``report.html`` into ``directory``."""
    from experiments.learn.evaluation import best_members, evaluate, non_finite_end
    from experiments.learn.progress import show_progress
    from experiments.learn.saved import save_network
    from experiments.learn.training import train
    from sim.stream import Status

    config, options, first_seconds = prepared.config, prepared.options, prepared.search.seconds
    with precision(config):
        tic = clock.perf_counter()
        with show_progress(options.steps) as show_losses:
            ensemble, losses = train(
                options, prepared.search, directory / "checkpoints", resume, stop, show_losses
            )
        seconds = {"compile": first_seconds, "training": clock.perf_counter() - tic}
        steps = len(losses) - 1
        report(Status("done", steps, steps, 0, first_seconds, seconds["training"]))
        if stop():
            return TaskEnd(False)
        outcome = evaluate(prepared, ensemble, losses, seconds)
        save_network(directory / "network.nc", prepared, best_members(options, ensemble))
        end = non_finite_end(prepared, ensemble)
    write_results(directory, "learn", outcome, attributes)
    watch(0, outcome)
    files = {"network": "network.nc", "file": "learn.nc", "report": "report.html"}
    files["figure"] = f"learn.{config.output.figure}"
    show = summary_printer(directory, outcome, files)
    return TaskEnd(True, rmse_scores(outcome), "" if end is None else end.describe(), show)
