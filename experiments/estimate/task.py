"""The task `estimate`: a filter, its smoother and a forecast over a record of observations."""

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
    """All that a run needs, checked: a mistake is named before a directory is claimed.

    Attributes:
        estimator: an `experiments.estimate.estimators.Estimator`.
        y: the observations (length, m).
        signals: what is written beside the estimates: the observations and the true states.
        length, t0, dt, time_units: number of observations, time of the first, interval (None
            if it varies), and units of time.
        time, ahead: times of the observations (length,), and of the forecast.
        quantities: units and description of everything that is scored.
        references: for an estimate, the name of the true values that it is scored against.
        left_out: the number of observations before the first estimate.
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
    references: dict[str, str]
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
    """Read the record, build the estimator and check that they fit.

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
    left_out = max(estimator.burn_in - 1, 0)
    estimator = estimator._replace(burn_in=min(estimator.burn_in, 1))
    kept = slice(left_out, len(time))
    time, y = time[kept], y[kept]
    quantities, signals, measured = dict(estimator.states), {}, {}
    for state, values in source.truth.items():
        if state not in quantities:
            raise ValueError(
                f"input.truth.{state}: the estimator has no such state; "
                f"{suggest(state, quantities)}"
            )
        signals[f"{state}_true"] = values[kept]
        for kind in ("filtered", "smoothed"):
            quantities[f"{state}_{kind}"] = quantities[state]
            measured[f"{state}_{kind}"] = f"{state}_true"
    signals |= dict(zip(estimator.observed, y.T, strict=True))
    name = estimator.name or config.target("estimator").rpartition(".")[2]
    interval = float(np.median(np.diff(time))) if dt is None else dt
    ahead = time[-1] + interval * np.arange(1, config.keys.forecast + 1)
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
        quantities,
        measured,
        left_out,
    )


def _build_estimator(config, factory, y, time, dt):
    from experiments.estimate.estimators import Estimator

    parameters = inspect.signature(factory).parameters
    known = {"y": y, "t": time, "dt": dt}
    given = {name: value for name, value in known.items() if name in parameters}
    settings = dict(config.groups["estimator"])
    for key, value in config.groups["estimator"].items():
        if isinstance(value, Mapping) and "_target_" in value:  # a piece of the estimator
            name = f"estimator.{key}"
            given[key] = instantiate(
                resolve(f"{name}._target_", value["_target_"], config.allow), value, name
            )
            del settings[key]
    estimator = instantiate(factory, settings, "estimator", given)
    if not isinstance(estimator, Estimator):
        raise ValueError(
            f"estimator._target_: expected a function that returns an Estimator, got "
            f"{type(estimator).__name__} from {config.target('estimator')}"
        )
    return estimator


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
    """Raise ValueError unless the observations fit the estimator, by tracing one step."""
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
    """Filter, smooth and write; arguments as `experiments.runs.interface.TaskModule.run`.

    Raises:
        Diverged: an estimate is not finite; the estimates before it are written, not smoothed.
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
            estimates, smoothed = _first_rows(estimates, count), None
        if count:
            parts = config.output.keep or DEFAULT_PARTS
            written = estimate_dataset(prepared, estimates, smoothed, parts, count)
            written = written.isel(time=slice(None, None, every))
            dataset_file.write_dataset(directory / "trajectory.nc", written, attributes)
            watch(0, estimate_dataset(prepared, estimates, smoothed, FIGURE_PARTS, count))
        report(Status("diverged" if bad else "done", count, prepared.length, 0, *seconds))
        if bad is not None:
            index, variable, _ = bad
            raise Diverged(index + 1, float(prepared.time[index]), variable, None, count)
        if future is not None:
            ahead = forecast_dataset(prepared, future)
            dataset_file.write_dataset(directory / "forecast.nc", ahead, attributes)
            watch(prepared.length, ahead)
        return TaskEnd(True, _consistency_scores(prepared, estimates))


def _first_rows(tree, count):
    import jax

    return jax.tree.map(lambda leaf: leaf[:count], tree)


def _consistency_scores(prepared, estimates):
    """Log-likelihood, and for each sensor the mean NIS with 95 % bounds and a whiteness test."""
    import jax

    score_sensor = jax.jit(_score_sensor, static_argnames="lags")
    scores = {"loglik": {"total": float(estimates.loglik.sum())}, "nis": {}, "whiteness": {}}
    sensors = prepared.estimator.sensors or {"all": tuple(range(prepared.y.shape[1]))}
    for sensor, rows in sensors.items():
        v, S = estimates.innovation[:, rows], estimates.S[:, rows][:, :, rows]
        observed = ~np.isnan(v).all(axis=1)
        v, S = v[observed], S[observed]
        if not len(v):
            continue
        lags = min(10, len(v) // 5)
        mean_nis, p = score_sensor(v, S, lags=lags)
        prefix = "" if sensor == "all" else f"{sensor}_"
        for name in ("mean", "lower", "upper"):
            scores["nis"][prefix + name] = float(getattr(mean_nis, name))
        if lags:
            p = np.asarray(p)
            scores["whiteness"][f"{prefix}p"] = float(np.nanmin(np.where(np.isfinite(p), p, 1.0)))
    return scores


def _score_sensor(v, S, lags):
    """Mean NIS of innovations, and the p-values of their Ljung-Box tests, None without lags."""
    from filters.diagnostics import consistency, degrees, ljung_box, nis, standardise

    mean_nis = consistency(nis(v, S), degrees(v).astype(v.dtype))
    return mean_nis, ljung_box(standardise(v, S), lags).p if lags else None
