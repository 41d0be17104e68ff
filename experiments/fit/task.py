"""The task `fit`: a model's parameters from records, how far to trust them, and how well it does."""

import sys
import time as clock
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.cli.config import Config
from experiments.cli.pieces import build_piece
from experiments.fit.options import FitOptions
from experiments.identification.checks import check_precision, common_interval
from experiments.identification.data import Data, SampledRecord, data_hash
from experiments.runs.interface import RunSummary, TaskEnd
from experiments.runs.precision import precision


class Prepared(NamedTuple):
    """All that a fit needs, checked: what is wrong is said before a directory is claimed."""

    config: Config
    name: str
    title: str
    data: Data
    search: FitOptions
    objective: Any
    start: Any
    state: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    units: Mapping[str, str]
    parameter_units: Mapping[str, str]
    said: tuple[str, ...]
    t0: float
    dt: float
    quantities: Mapping[str, tuple[str, str]]
    measured: Mapping[str, str]
    length: int
    begun: Any = None

    @property
    def attributes(self) -> dict[str, str | None]:
        """Global attributes of the file."""
        return {"model": self.name, "integrator": self.config.target("integrator")}

    @property
    def data_hash(self) -> str:
        """The hash of the records."""
        return data_hash(self.data)

    @property
    def summary(self) -> RunSummary:
        """The run in words."""
        return RunSummary(
            unit=("evaluation", "evaluations"),
            details=f"of a fit, {self.config.runtime.precision}",
            separate_compile=False,
        )

    def time(self, sampled: SampledRecord) -> np.ndarray:
        """Times of the samples, s."""
        first = 0.0 if sampled.time is None else float(sampled.time[0])
        return first + self.dt * np.arange(len(sampled.y))

    def experiment(self, sampled: SampledRecord) -> Any:
        """A record as a rollout takes it."""
        import jax.numpy as jnp

        from sim import inputs
        from sim.fit import sampled as experiment

        kind = jnp.result_type(float)
        u = None
        if self.inputs:
            u = jnp.asarray(sampled.u[:, 0] if len(self.inputs) == 1 else sampled.u, kind)
        hold = {"zero_order": "zero_order_hold", "first_order": "first_order_hold"}
        hold = getattr(inputs, hold.get(self.data.hold, self.data.hold))
        if self.data.hold == "band_limited":  # values where the stages of all substeps look
            count = 2 * self.config.substeps
            hold = partial(hold, nodes=tuple(i / count for i in range(count + 1)))
        return experiment(self.dt * np.arange(len(sampled.y)), u, sampled.y.astype(kind), hold)


def prepare(config: Config) -> Prepared:
    """Read the training record, hold the model against it, and make the first evaluation.

    Raises:
        ValueError: a key, a value, a name or a size is wrong, or the model diverges.
        OSError: the record cannot be read.
    """
    from experiments.fit.search import prepare_search, reword_error
    from experiments.identification.objective import fit_setup
    from sim.fit import Huber, StudentT

    data, how = build_piece(config, "data", (Data,)), build_piece(config, "fit", (FitOptions,))
    dt = common_interval(data, config.dt)
    check_precision(data, config.runtime.precision)
    with precision(config):
        model = build_piece(config, "model")
        known = fit_setup(config, model, data, dt)
        robust = {"huber": Huber(), "student_t": StudentT()}.get(how.loss)
        known = known._replace(objective=replace(known.objective, robust=robust))
        first, title = data.training[0], f"{model.name.replace('_', ' ').capitalize()}, fitted"
        prepared = Prepared(
            config,
            model.name,
            config.title or title,
            data,
            how,
            known.objective,
            known.start,
            known.state,
            data.inputs,
            data.outputs,
            known.units,
            known.parameter_units,
            known.said,
            0.0 if first.time is None else float(first.time[0]),
            dt,
            {name: (known.units[name], name) for name in data.outputs},
            {},
            sum(len(s.y) for s in data.training),
        )
        try:
            experiments = [prepared.experiment(s) for s in data.training]
        except ValueError as error:
            raise ValueError(reword_error(error)) from None
        samples = [s.part.known for s in data.training]
        try:
            found = prepare_search(
                how, known.objective, known.start, known.state, experiments, samples
            )
        except ValueError as error:  # the units of the time column may be others
            of = (
                f" in steps of {dt / config.substeps:g} s"
                if str(error).endswith("a run that diverges")
                else ""
            )
            raise ValueError(f"{error}{of}") from None
        return prepared._replace(begun=found)


class TracePlot:
    """Draws the first experiment when the fit has been made."""

    trace: Any = None

    def add(self, first: int, fitted: Any) -> None:
        self.trace = fitted.traces[0]

    def draw(self, path: Path, title: str) -> None:
        """Write the figure, in the format of its suffix."""
        from experiments.identification.figures import draw_trace

        if self.trace is not None:
            figure = draw_trace(self.trace, 1500)
            figure.suptitle(f"{title}: {self.trace.name}", parse_math=False)
            figure.savefig(path, dpi=150)


def figure(prepared: Prepared) -> TracePlot:
    """What gathers the figure."""
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
    from experiments.fit import evaluation, search
    from experiments.identification import tables
    from experiments.identification.report import write_report as page
    from experiments.identification.result_file import write_fit
    from sim.stream import Status

    with precision(prepared.config):
        tic = clock.perf_counter()
        try:
            found, seconds = search.run_search(
                prepared.search,
                prepared.begun,
                prepared.config.seed,
                directory / "checkpoints",
                resume,
                stop,
            )
        except search.Interrupted:
            how = "in stages" if prepared.search.stages else "with more than 1"
            print(
                f"scansim: fit.{prepared.search.several}: a search {how} keeps no checkpoint to go on "
                "from; begin it again",
                file=sys.stderr,
            )
            raise KeyboardInterrupt from None
        steps = len(found.loss) - 1
        report(Status("done", steps, steps, 0, prepared.begun.seconds, seconds["search"]))
        if stop():
            return TaskEnd(False)
        whole = prepared.begun.seconds + clock.perf_counter() - tic
        done = evaluation.evaluate(prepared, found, seconds)
    done = done._replace(seconds={**seconds, "whole fit": whole})
    write_fit(directory / "fit.nc", done, attributes)
    page(directory / "report.html", done, attributes["config"])
    watch(0, done)
    scores = {f"rmse {t.name}": dict(t.scores["rmse"]) for t in done.traces}
    figure = f"fit.{prepared.config.output.figure}"
    files = {
        "file": directory / "fit.nc",
        "report": directory / "report.html",
        "figure": directory / figure,
    }
    return TaskEnd(
        True, scores, search.non_finite_message(found), lambda: tables.print_fit(done, files)
    )
