"""The task `fit`: parameters of a model from records, their uncertainty, and its scores."""

import sys
import time as clock
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from experiments.cli.config import Config
from experiments.cli.pieces import build_piece
from experiments.fit.options import FitOptions
from experiments.identification.checks import check_precision
from experiments.identification.data import Data
from experiments.identification.experiments import (
    build_records,
    common_interval,
    continuous_experiment,
)
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
    """Read the records, make the model an objective, and make the first evaluation.

    Raises:
        ValueError: a key, a value, a name or a size is wrong, or the model diverges.
        OSError: a record cannot be read.
    """
    from experiments.fit.search import CONFIG_KEYS, prepare_search
    from experiments.identification.config_keys import reword_error
    from experiments.identification.objective import fit_setup
    from sim.fit import Huber, StudentT
    from sim.fit.problem.errors import DivergenceError

    data = build_piece(config, "data", (Data,))
    options = build_piece(config, "fit", (FitOptions,))
    dt = common_interval(data, config.dt)
    check_precision(data, config.runtime.precision)
    with precision(config):
        model = build_piece(config, "model")
        setup = fit_setup(config, model, data, dt)
        robust = {"huber": Huber(), "student_t": StudentT()}.get(options.loss)
        setup = setup._replace(objective=replace(setup.objective, robust=robust))
        to_experiment = partial(continuous_experiment, data.hold, dt, config.substeps)
        try:
            records = build_records(data, dt, to_experiment)
        except ValueError as error:
            raise ValueError(reword_error(error, CONFIG_KEYS)) from None
        try:
            search = prepare_search(options, setup, records.training)
        except DivergenceError as error:  # the time column may be in other units
            raise ValueError(f"{error} in steps of {dt / config.substeps:g} s") from None
        title = config.title or f"{model.name.replace('_', ' ').capitalize()}, fitted"
        details = f"of a fit, {config.runtime.precision}"
        summary = RunSummary(("evaluation", "evaluations"), details, separate_compile=False)
        return Prepared(config, model.name, title, options, records, setup, search, summary)


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
    """Fit, and write ``fit.nc`` and ``report.html`` into ``directory``."""
    from experiments.fit.evaluation import evaluate
    from experiments.fit.search import Interrupted, non_finite_end, run_search
    from sim.stream import Status

    config, options, first_seconds = prepared.config, prepared.options, prepared.search.seconds
    with precision(config):
        tic = clock.perf_counter()
        try:
            fit, seconds = run_search(
                options, prepared.search, config.seed, directory / "checkpoints", resume, stop
            )
        except Interrupted:
            search = "in stages" if options.stages else "with more than 1"
            print(
                f"scansim: fit.{options.without_checkpoint}: a search {search} saves no state to "
                "go on from; begin it again",
                file=sys.stderr,
            )
            raise KeyboardInterrupt from None
        steps = len(fit.loss) - 1
        report(Status("done", steps, steps, 0, first_seconds, seconds["search"]))
        if stop():
            return TaskEnd(False)
        whole = first_seconds + clock.perf_counter() - tic
        outcome = evaluate(prepared, fit, {**seconds, "whole fit": whole})
        end = non_finite_end(fit)
    write_results(directory, "fit", outcome, attributes)
    watch(0, outcome)
    files = {"file": "fit.nc", "report": "report.html"}
    files["figure"] = f"fit.{config.output.figure}"
    show = summary_printer(directory, outcome, files)
    return TaskEnd(True, rmse_scores(outcome), "" if end is None else end.describe(), show)
