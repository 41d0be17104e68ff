"""The task `estimate`: filter and smoother over a record, into a file and a figure."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.cli.config import Config
from experiments.cli.instantiate import instantiate
from experiments.cli.messages import suggest
from experiments.cli.targets import resolve
from experiments.estimate.dataset import estimate_dataset, forecast_dataset
from experiments.records import dataset_file, time_axis
from experiments.records.columns import IrregularTimes
from experiments.runs.interface import RunSummary, TaskEnd
from experiments.runs.precision import precision
from experiments.runs.summary import describe_interval, method_names

DEFAULT_PARTS = ("mean", "sd")
FIGURE_PARTS = ("mean", "sd", "innovation")


class Prepared(NamedTuple):
    """All that a run needs, checked: what is wrong is said before a directory is claimed.

    Attributes:
        estimator: an `experiments.estimate.estimators.Estimator`.
        y, signals: the observations (length, m), and what is written beside the estimates.
        length, t0, time_units: the observations, and their times.
        dt: between observations, or None where they are irregular.
        time, ahead: the times of the observations, and of the forecast.
        quantities: units and words of what is scored.
        measured: for an estimate, the name of what it is scored against.
        left_out: observations before the first from which the estimator can begin.
    """

    config: Config
    name: str
    estimator: Any
    y: np.ndarray
    signals: dict[str, np.ndarray]
    length: int
    t0: float
    dt: float | None
    time_units: str
    time: np.ndarray
    ahead: np.ndarray
    quantities: Mapping[str, Any]
    measured: dict[str, str]
    left_out: int
    data_hash: None = None  # an estimate is not resumed

    @property
    def attributes(self) -> dict[str, str | None]:
        """Global attributes of the files."""
        return {"model": self.name, "estimator": self.config.target("estimator")}

    @property
    def summary(self) -> RunSummary:
        """The run in words."""
        interval = describe_interval(self.dt, self.time, self.time_units)
        methods = method_names(self.config, "estimator", "update")
        left_out = f"the first {self.left_out} left out: too little is observed to begin"
        rows = (("", left_out),) if self.left_out else ()
        return RunSummary(
            details=f"{interval}, {methods}, {self.config.runtime.precision}", rows=rows
        )


def prepare(config: Config) -> Prepared:
    """Read the record, build the estimator and hold them against each other.

    Raises:
        ValueError: a key, a value, a name or a size is wrong.
        OSError: the record cannot be read, or its times are irregular.
    """
    if config.substeps != 1:
        raise ValueError(f"substeps: expected 1 in an estimate, got {config.substeps}")
    factory = resolve("estimator._target_", config.target("estimator"), config.allow)
    source = time_axis.read_observations(config)
    any_times = "t" in inspect.signature(factory).parameters
    try:
        time, dt = time_axis.select_times(config, source, any_times)
    except IrregularTimes as error:
        raise OSError(
            f"{error}; estimator=linear and estimator=continuous take any times"
        ) from None
    y = source.y[: len(time)]
    with precision(config):
        estimator = _with_update(config, _build_estimator(config, factory, y, time, dt), y)
        _check_sizes(config, estimator, y, time)
    left_out = max(estimator.used - 1, 0)
    estimator = estimator._replace(used=min(estimator.used, 1))
    kept = slice(left_out, len(time))
    time, y = time[kept], y[kept]
    known, signals, measured = dict(estimator.states), {}, {}
    for state, values in source.truth.items():
        if state not in known:
            raise ValueError(
                f"input.truth.{state}: the estimator has no such state; {suggest(state, known)}"
            )
        signals[f"{state}_true"] = values[kept]
        for kind in ("filtered", "smoothed"):
            known[f"{state}_{kind}"] = known[state]
            measured[f"{state}_{kind}"] = f"{state}_true"
    signals |= dict(zip(estimator.observed, y.T, strict=True))
    name = estimator.name or config.target("estimator").rpartition(".")[2]
    usual = float(np.median(np.diff(time))) if dt is None else dt
    ahead = time[-1] + usual * np.arange(1, config.keys.forecast + 1)
    return Prepared(
        config,
        name,
        estimator,
        y,
        signals,
        len(time),
        float(time[0]),
        dt,
        source.units,
        time,
        ahead,
        known,
        measured,
        left_out,
    )


def _build_estimator(config, factory, y, time, dt):
    from experiments.estimate.estimators import Estimator

    asked = inspect.signature(factory).parameters
    given = {name: value for name, value in (("y", y), ("t", time), ("dt", dt)) if name in asked}
    settings = dict(config.groups["estimator"])
    for key, value in config.groups["estimator"].items():
        if isinstance(value, Mapping) and "_target_" in value:  # a piece within the piece
            name = f"estimator.{key}"
            given[key] = instantiate(
                resolve(f"{name}._target_", value["_target_"], config.allow), value, name
            )
            del settings[key]
    found = instantiate(factory, settings, "estimator", given)
    if not isinstance(found, Estimator):
        raise ValueError(
            f"estimator._target_: expected a function that returns an Estimator, got "
            f"{type(found).__name__} from {config.target('estimator')}"
        )
    return found


def _with_update(config, estimator, y):
    """The estimator with the update that the configuration chooses."""
    if "update" not in config.groups:
        return estimator
    from filters.robust import robust

    factory = resolve("update._target_", config.target("update"), config.allow)
    given = {"y": y} if "y" in inspect.signature(factory).parameters else {}
    update = instantiate(factory, config.groups["update"], "update", given)
    try:
        return estimator._replace(stepper=robust(estimator.stepper, update))
    except ValueError:
        raise ValueError(
            "update: expected null for an estimator whose filter has an update of "
            f"its own, got {config.target('update')}"
        ) from None


def _check_sizes(config, estimator, y, time):
    """Trace one step, so that pieces that do not fit are named before a run is claimed."""
    import jax

    from experiments.estimate.passes import step_inputs

    if len(estimator.observed) != y.shape[1]:
        raise ValueError(
            f"input: expected {len(estimator.observed)} columns "
            f"({', '.join(estimator.observed)}), got {y.shape[1]}"
        )
    try:
        carry = estimator.stepper.init(estimator.prior)
        x = jax.tree.map(lambda a: a[0], step_inputs(estimator, y[:1], time[:1], time[0]))
        jax.eval_shape(estimator.stepper.step, carry, x)
    except ValueError as error:
        raise ValueError(f"estimator: {error}") from error


def figure(prepared: Prepared) -> Any:
    """What gathers the figure."""
    from experiments.estimate.figure import EstimatePlot

    estimator = prepared.estimator
    return EstimatePlot(estimator.states, estimator.observed, estimator.shown, prepared.time_units)


def run(
    prepared: Prepared,
    directory: Path,
    *,
    attributes: Mapping[str, Any],
    watch: Callable,
    report: Callable,
    **_: Any,
) -> TaskEnd:
    """Filter and smooth into ``directory``; see `experiments.simulate.task.run` for the arguments.

    Raises:
        Diverged: an estimate is not finite; what came before is kept, not smoothed.
    """
    from experiments.estimate.passes import filter_and_smooth
    from sim.diverged import Diverged, first_bad
    from sim.stream import Status

    config, every = prepared.config, prepared.config.output.save_every
    with precision(config):
        estimates, smoothed, future, seconds = filter_and_smooth(
            prepared.estimator, prepared.y, prepared.time, prepared.ahead
        )
        bad = first_bad({"mean": estimates.m, "covariance": estimates.P}, "y", False)
        count = prepared.length if bad is None else bad[0]
        if bad is None:
            bad = first_bad(dict(smoothed._asdict()), "y", False)
            smoothed = smoothed if bad is None else None
        else:
            estimates, smoothed = _first_observed(estimates, count), None
        if count:
            chosen = estimate_dataset(
                prepared, estimates, smoothed, config.output.keep or DEFAULT_PARTS, count
            )
            chosen = chosen.isel(time=slice(None, None, every))
            dataset_file.write_dataset(directory / "trajectory.nc", chosen, attributes)
            watch(0, estimate_dataset(prepared, estimates, smoothed, FIGURE_PARTS, count))
        report(Status("diverged" if bad else "done", count, prepared.length, 0, *seconds))
        if bad is not None:
            at = bad[0]
            raise Diverged(at + 1, float(prepared.time[at]), bad[1], None, count)
        if future is not None:
            foreseen = forecast_dataset(prepared, future)
            dataset_file.write_dataset(directory / "forecast.nc", foreseen, attributes)
            watch(prepared.length, foreseen)
        return TaskEnd(True, _consistency_scores(prepared, estimates))


def _first_observed(tree, count):
    import jax

    return jax.tree.map(lambda leaf: leaf[:count], tree)


def _consistency_scores(prepared, estimates):
    """Log-likelihood, and the mean NIS of each sensor with its 95 % bounds."""
    import jax

    judged = jax.jit(_judge_sensor, static_argnames="lags")
    scores = {"loglik": {"total": float(estimates.loglik.sum())}, "nis": {}, "whiteness": {}}
    sensors = prepared.estimator.sensors or {"all": tuple(range(prepared.y.shape[1]))}
    for sensor, rows in sensors.items():
        v, S = estimates.innovation[:, rows], estimates.S[:, rows][:, :, rows]
        seen = ~np.isnan(v).all(axis=1)
        v, S = v[seen], S[seen]
        if not len(v):
            continue
        lags = min(10, len(v) // 5)
        found, p = judged(v, S, lags=lags)
        prefix = "" if sensor == "all" else f"{sensor}_"
        for name in ("mean", "lower", "upper"):
            scores["nis"][prefix + name] = float(getattr(found, name))
        if lags:
            p = np.asarray(p)
            scores["whiteness"][f"{prefix}p"] = float(np.nanmin(np.where(np.isfinite(p), p, 1.0)))
    return scores


def _judge_sensor(v, S, lags):
    """Of innovations and their covariances: the mean NIS, and the p of whiteness, or None."""
    from filters.diagnostics import consistency, degrees, ljung_box, nis, standardise

    found = consistency(nis(v, S), degrees(v).astype(v.dtype))
    return found, ljung_box(standardise(v, S), lags).p if lags else None
