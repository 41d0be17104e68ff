"""The task `fit`: a model's parameters from records, how far to trust them, and how well it does."""

import sys
import time as clock
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import record
from experiments.build import instantiate, suggest
from experiments.config import Config
from experiments.data import Data, SampledRecord, check_precision, reword_group
from experiments.simulate import precision
from experiments.target import resolve

NAME = "fit"  # of the figure
LOSSES = ("squares", "huber", "student_t")


class FitOptions(NamedTuple):
    """How to search: see `sim.fit.fit`, `sim.fit.multistart` and `sim.fit.shooting`.

    Attributes:
        parameters: kinds by name: positive, fixed, [lower, upper], "= other", or mean and sd;
            under "states" those of the initial states.
        states: free; fixed, as the model's initial state; or first, from the first samples
            of each experiment.
        steps, tolerance: evaluations at most, and the fall of the loss not to go on for.
        starts, width: of how many the best is taken, and how far they spread.
        segments: of multiple shooting; 1 is none.
        stages: names of parameters that are set free one list after another; () is none.
        bands: whether the simulations of the training records get their standard deviation.
        profile: parameters that get an interval by the profile likelihood too.
        loss: squares; or huber or student_t, of which a few gross errors are no large part.
    """

    parameters: Mapping[str, Any]
    states: str
    steps: int
    tolerance: float
    starts: int
    width: float
    segments: int
    bands: bool
    stages: tuple[tuple[str, ...], ...] = ()
    profile: tuple[str, ...] = ()
    loss: str = "squares"

    @property
    def several(self) -> str:
        """The key that makes this a search of several, which keeps no checkpoint; or empty."""
        found = {"starts": self.starts > 1, "segments": self.segments > 1, "stages": self.stages}
        return next((name for name, more in found.items() if more), "")


def fit_options(
    parameters: Mapping[str, Any] | None = None,
    states: str = "free",
    steps: int = 100,
    tolerance: float = 1e-9,
    starts: int = 1,
    width: float = 1.0,
    segments: int = 1,
    bands: bool = True,
    stages: tuple[tuple[str, ...], ...] = (),
    profile: tuple[str, ...] = (),
    loss: str = "squares",
) -> FitOptions:
    """A `FitOptions`.

    Raises:
        ValueError: a number is too small, or two ways to search are named at once.
    """
    if states not in ("free", "fixed", "first"):
        raise ValueError(
            f"states: expected one of free, fixed, first, got {states!r}; "
            f"{suggest(states, ('free', 'fixed', 'first'))}"
        )
    if loss not in LOSSES:
        raise ValueError(
            f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}; {suggest(loss, LOSSES)}"
        )
    for name, value in (("steps", steps), ("starts", starts), ("segments", segments)):
        if value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {value}")
    if tolerance < 0:
        raise ValueError(f"tolerance: expected a number of at least 0, got {tolerance:g}")
    if not width > 0:
        raise ValueError(f"width: expected a number above 0, got {width:g}")
    if starts > 1 and segments > 1:
        raise ValueError(
            "segments: expected 1 where starts is more than 1: one way to search at once"
        )
    if stages and max(starts, segments) > 1:
        name = "starts" if starts > 1 else "segments"
        raise ValueError(
            f"stages: expected [] where {name} is more than 1: one way to search at once"
        )
    if states != "free" and max(starts, segments) > 1:
        name = "starts" if starts > 1 else "segments"
        raise ValueError(f"states: expected free where {name} is more than 1, got {states}")
    return FitOptions(
        dict(parameters or {}),
        states,
        steps,
        tolerance,
        starts,
        width,
        segments,
        bands,
        stages,
        profile,
        loss,
    )


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
    from experiments.identified import fit_setup
    from experiments.searched import prepare_search, reword_error
    from sim.fit import Huber, StudentT

    data, how = build_piece(config, "data", Data), build_piece(config, "fit", FitOptions)
    dt = common_interval(data, config.dt)
    check_precision(data, config.runtime.precision)
    with precision(config):
        model = instantiate(
            resolve("model._target_", config.model["_target_"], config.allow), config.model, "model"
        )
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


def build_piece(config: Config, group: str, *kinds: type) -> Any:
    """What the function of a group returns, of one of some kinds.

    Raises:
        ValueError: it is of another kind, or a key or a value is wrong.
    """
    values = getattr(config, group)
    found = instantiate(
        resolve(f"{group}._target_", values["_target_"], config.allow), values, group
    )
    if not isinstance(found, kinds):
        raise ValueError(
            f"{group}._target_: expected a function that returns an "
            f"{kinds[0].__module__}.{kinds[0].__name__}, "
            f"got one that returns {type(found).__name__}"
        )
    return found


def common_interval(data: Data, dt: float | None) -> float:
    """The sample interval of all records, s.

    Raises:
        ValueError, OSError: a record has another, or none.
    """
    found = data.dt if dt is None else dt
    if data.dt is not None and abs(found - data.dt) > 1e-3 * data.dt:
        raise ValueError(
            f"dt: expected {data.dt:g}, the sample interval of {data.training[0].path}, "
            f"or null, got {dt:g}"
        )
    for sampled in (*data.training, *data.validation, *data.tests):
        source = record.Record(sampled.path, sampled.time, sampled.u, {})
        try:
            found = record.sample_interval_of(source, found)
        except (OSError, ValueError) as error:
            raise type(error)(reword_group(str(error))) from None
    return found


class TracePlot:
    """Draws the first experiment when the fit has been made."""

    trace: Any = None

    def add(self, first: int, fitted: Any) -> None:
        self.trace = fitted.traces[0]

    def draw(self, path: Path, title: str) -> None:
        """Write the figure, in the format of its suffix."""
        from experiments.report import draw_trace

        if self.trace is not None:
            figure = draw_trace(self.trace, 1500)
            figure.suptitle(f"{title}: {self.trace.name}", parse_math=False)
            figure.savefig(path, dpi=150)


def figure(prepared: Prepared) -> TracePlot:
    """What gathers the figure."""
    return TracePlot()


class TaskEnd(NamedTuple):
    """The end of a run."""

    finished: bool
    scores: Mapping[str, Mapping[str, float]]
    show: Callable | None = None
    lost: str = ""  # of a search that ended because its loss was no longer finite: where


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
    from experiments import fit_summary, outcome, searched
    from experiments.fitted import write_fit
    from experiments.report import write_report as page
    from sim.stream import Status

    with precision(prepared.config):
        tic = clock.perf_counter()
        try:
            found, seconds = searched.run_search(
                prepared.search,
                prepared.begun,
                prepared.config.seed,
                directory / "checkpoints",
                resume,
                stop,
            )
        except searched.Interrupted:
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
            return TaskEnd(False, {})
        whole = prepared.begun.seconds + clock.perf_counter() - tic
        done = outcome.evaluate(prepared, found, seconds)
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
        True, scores, lambda: fit_summary.print_fit(done, files), searched.non_finite_message(found)
    )
