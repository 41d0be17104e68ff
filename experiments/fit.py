"""The task `fit`: a model's parameters from records, how far to trust them, and how well it does."""

import time as clock
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import outcome, record
from experiments.build import build, nearest
from experiments.config import Config
from experiments.data import Data, Sampled
from experiments.simulate import precision
from experiments.target import resolve

NAME = "fit"  # of the figure
ROUND = 5  # evaluations between two checkpoints


class Search(NamedTuple):
    """How to search: see `sim.fit.fit`, `sim.fit.multistart` and `sim.fit.shooting`.

    Attributes:
        parameters: kinds by name: positive, fixed, [lower, upper], "= other", or mean and sd.
        states: free; fixed, as the model's initial state; or first, from the first samples
            of each experiment.
        steps, tolerance: evaluations at most, and the fall of the loss not to go on for.
        starts, width: of how many the best is taken, and how far they spread.
        segments: of multiple shooting; 1 is none.
        bands: whether the simulations of the training records get their standard deviation.
    """

    parameters: Mapping[str, Any]
    states: str
    steps: int
    tolerance: float
    starts: int
    width: float
    segments: int
    bands: bool


def search(
    parameters: Mapping[str, Any] | None = None, states: str = "free", steps: int = 100,
    tolerance: float = 1e-9, starts: int = 1, width: float = 1.0, segments: int = 1,
    bands: bool = True,
) -> Search:  # fmt: skip
    """A `Search`.

    Raises:
        ValueError: a number is too small, or two ways to search are named at once.
    """
    if states not in ("free", "fixed", "first"):
        raise ValueError(f"states: expected one of free, fixed, first, got {states!r}; "
                         f"{nearest(states, ('free', 'fixed', 'first'))}")  # fmt: skip
    for name, value in (("steps", steps), ("starts", starts), ("segments", segments)):
        if value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {value}")
    if starts > 1 and segments > 1:
        raise ValueError("segments: expected 1 where starts is more than 1: one way to search at once")
    return Search(dict(parameters or {}), states, steps, tolerance, starts, width, segments, bands)


class Prepared(NamedTuple):
    """All that a fit needs, checked: what is wrong is said before a directory is claimed."""

    config: Config
    name: str
    title: str
    data: Data
    search: Search
    objective: Any
    start: Any
    states: list[Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    units: Mapping[str, str]
    parameter_units: Mapping[str, str]
    t0: float
    dt: float
    quantities: Mapping[str, Any]
    measured: Mapping[str, str]
    length: int

    def time(self, sampled: Sampled) -> np.ndarray:
        """Times of the samples, s."""
        first = 0.0 if sampled.time is None else float(sampled.time[0])
        return first + self.dt * np.arange(len(sampled.y))

    def experiment(self, sampled: Sampled) -> Any:
        """A record as a rollout takes it."""
        import jax.numpy as jnp

        from sim import inputs
        from sim.fit import sampled as experiment

        kind = jnp.result_type(float)
        u = None
        if self.inputs:
            u = sampled.u[:, 0] if len(self.inputs) == 1 else sampled.u
            u = jnp.asarray(u, kind)
        hold = {"zero_order": "zero_order_hold", "first_order": "first_order_hold"}
        chosen = getattr(inputs, hold.get(self.data.hold, self.data.hold))
        if self.data.hold == "band_limited":  # values where the stages of all substeps look
            count = 2 * self.config.substeps
            nodes = tuple(i / count for i in range(count + 1))
            return experiment(self.dt * np.arange(len(sampled.y)), u, sampled.y.astype(kind),
                              lambda t, u: chosen(t, u, nodes))  # fmt: skip
        return experiment(self.dt * np.arange(len(sampled.y)), u, sampled.y.astype(kind), chosen)


def prepare(config: Config) -> Prepared:
    """Read the training record, build model and objective, and hold them against each other.

    Raises:
        ValueError: a key, a value, a name or a size is wrong.
        OSError: the record cannot be read.
    """
    data = build(resolve("data._target_", config.data["_target_"], config.allow), config.data, "data")
    how = build(resolve("fit._target_", config.fit["_target_"], config.allow), config.fit, "fit")
    first = data.training[0]
    source = record.Record(str(config.data.get("path")), first.time, first.u, {})
    try:
        dt = record.interval(source, data.dt if config.dt is None else config.dt)
    except (OSError, ValueError) as error:
        raise type(error)(str(error).replace("input.", "data.")) from None
    with precision(config):
        from experiments.identified import described

        model = build(resolve("model._target_", config.model["_target_"], config.allow),
                      config.model, "model")  # fmt: skip
        known = described(config, model, data, dt)
        title = config.title or f"{model.name.replace('_', ' ').capitalize()}, fitted"
        return Prepared(
            config, model.name, title, data, how, known.objective, known.start,
            [known.state] * len(data.training), data.inputs, data.outputs, known.units, {},
            0.0 if first.time is None else float(first.time[0]), dt, {}, {},
            sum(len(s.y) for s in data.training),
        )  # fmt: skip


class Picture:
    """Draws the first experiment when the fit has been made."""

    trace: Any = None

    def add(self, first: int, fitted: Any) -> None:
        self.trace = fitted.traces[0]

    def draw(self, path: Path, title: str) -> None:
        """Write the figure, in the format of its suffix."""
        from experiments.report import records

        if self.trace is not None:
            records(self.trace, 1500).savefig(path)


def picture(prepared: Prepared) -> Picture:
    """What gathers the figure."""
    return Picture()


class Ended(NamedTuple):
    """The end of a run."""

    finished: bool
    scores: Mapping[str, Mapping[str, float]]
    show: Callable | None = None


def run(prepared: Prepared, directory: Path, *, attributes: Mapping[str, Any], resume: bool,
        stop: Callable, watch: Callable, report: Callable, **_: Any) -> Ended:  # fmt: skip
    """Fit, and write ``fit.nc`` and ``report.html`` into ``directory``."""
    from experiments import fit_summary
    from experiments.fitted import written_fit
    from experiments.identified import searched
    from experiments.report import report as page
    from sim.stream import Status

    with precision(prepared.config):
        tic = clock.perf_counter()
        found, seconds = searched(prepared, directory, resume, stop)
        steps = len(found.loss) - 1
        report(Status("done", steps, steps, 0, seconds["compile"], seconds["fit"]))
        if stop():
            return Ended(False, {})
        done = concluded(prepared, found, seconds | {"fit": clock.perf_counter() - tic})
    written_fit(directory / "fit.nc", done, attributes)
    page(directory / "report.html", done, attributes["config"])
    watch(0, done)
    scores = {f"rmse {t.name}": dict(t.scores["rmse"]) for t in done.traces}
    files = {name: directory / name for name in ("fit.nc", "report.html", "fit.png")}
    return Ended(True, scores, lambda: fit_summary.show(done, files))


def concluded(prepared: Prepared, found: Any, seconds: Mapping[str, float]) -> Any:
    """Everything that is kept; the tests are opened here, once, and nothing is chosen by them."""
    from sim.fit.bands import bands
    from sim.fit.excitation import unexcited
    from sim.fit.initial import initial_state

    traces, said = [], [found.message]
    for i, (sampled, x0) in enumerate(zip(prepared.data.training, found.states, strict=True)):
        band = bands(found, i).sd if prepared.search.bands else None
        traces.append(outcome.trace(prepared, found.params, sampled, x0, 0, band))
    further = [*prepared.data.validation, *(read() for read in prepared.data.tests)]
    for sampled in further:
        n = sampled.part.known
        x0 = initial_state(prepared.objective, found.params, prepared.experiment(sampled), n,
                           prepared.states[0])  # fmt: skip
        traces.append(outcome.trace(prepared, found.params, sampled, x0, n))
    checks, words = outcome.tests(traces, prepared.data.training[0].part.known)
    said += [*found.uncertainty.open, *unexcited([prepared.experiment(s) for s in prepared.data.training])]
    tests = traces[len(traces) - len(prepared.data.tests) :] if prepared.data.tests else []
    rows = outcome.beside(prepared.data, tests)
    return outcome.fitted(prepared, found, traces, checks, said + words, seconds, rows)
