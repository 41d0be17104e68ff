"""The task `estimate`: filter and smoother over a record, into a file and a figure."""

import inspect
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import record as recorded
from experiments.build import build, nearest
from experiments.config import Config, steps
from experiments.observations import Observations
from experiments.simulate import precision
from experiments.target import resolve

KEEP = ("mean", "sd")


class Prepared(NamedTuple):
    """All that a run needs, checked: what is wrong is said before a directory is claimed.

    Attributes:
        estimator: an `experiments.estimators.Estimator`.
        y, signals: the observations (length, m), and what is written beside the estimates.
        length, t0, dt, time_units: the observations, and their times.
        quantities: units and words of what is scored.
        measured: for an estimate, the name of what it is scored against.
    """

    config: Config
    name: str
    estimator: Any
    y: np.ndarray
    signals: dict[str, np.ndarray]
    length: int
    t0: float
    dt: float
    time_units: str
    quantities: Mapping[str, Any]
    measured: dict[str, str]


class Estimated(NamedTuple):
    """The end of a run, and what it found of the filter's consistency."""

    finished: bool
    scores: dict[str, dict[str, float]]


def prepare(config: Config) -> Prepared:
    """Read the record, build the estimator and hold them against each other.

    Raises:
        ValueError: a key, a value, a name or a size is wrong.
        OSError: the record cannot be read, or its times are irregular.
    """
    if config.substeps != 1:
        raise ValueError(f"substeps: expected 1 in an estimate, got {config.substeps}")
    source = _observations(config)
    dt = recorded.interval(source, config.dt)
    if dt <= 0:
        raise ValueError(f"dt: expected a positive interval of the observations, got {dt:g}")
    have = len(source.y) - 1
    length = have if config.duration is None else steps(config.duration, dt)
    if length > have:
        raise ValueError(f"duration: expected at most {have * dt:g}, the length of {source.path}, "
                         f"got {config.duration:g}")
    t0 = config.t0
    if t0 is None:
        t0 = 0.0 if source.time is None else float(source.time[0])
    y = source.y[: length + 1]
    with precision(config):
        estimator = _estimator(config, y, dt)
        _fits(config, estimator, y)
    known, signals, measured = dict(estimator.states), {}, {}
    for state, values in source.truth.items():
        if state not in known:
            raise ValueError(f"input.truth.{state}: the estimator has no such state; "
                             f"{nearest(state, known)}")
        signals[f"{state}_true"] = values[: length + 1]
        for kind in ("filtered", "smoothed"):
            known[f"{state}_{kind}"] = known[state]
            measured[f"{state}_{kind}"] = f"{state}_true"
    signals |= dict(zip(estimator.observed, y.T, strict=True))
    name = config.estimator["_target_"].rpartition(".")[2]
    return Prepared(config, name, estimator, y, signals, length + 1, t0, dt, source.units, known, measured)


def _observations(config) -> Observations:
    target = config.input["_target_"]
    if "hold" in config.input:
        raise ValueError("input: expected observations to estimate from, such as input=nile or "
                         f"input=observations, got {target}, which drives a simulation")
    found = build(resolve("input._target_", target, config.allow), config.input, "input")
    if not isinstance(found, Observations):
        raise ValueError(f"input._target_: expected a function that returns Observations, got "
                         f"{type(found).__name__} from {target}")
    if np.isnan(found.y).all():
        raise OSError(f"input.path: {found.path}: expected an observation, got none but NaN")
    return found


def _estimator(config, y, dt):
    from experiments.estimators import Estimator

    target = config.estimator["_target_"]
    factory = resolve("estimator._target_", target, config.allow)
    asked = inspect.signature(factory).parameters
    given = {name: value for name, value in (("y", y), ("dt", dt)) if name in asked}
    found = build(factory, config.estimator, "estimator", given)
    if not isinstance(found, Estimator):
        raise ValueError(f"estimator._target_: expected a function that returns an Estimator, got "
                         f"{type(found).__name__} from {target}")
    return found


def _fits(config, estimator, y):
    """Trace one step, so that pieces that do not fit are named before a run is claimed."""
    import jax

    if len(estimator.observed) != y.shape[1]:
        raise ValueError(f"input: expected {len(estimator.observed)} columns "
                         f"({', '.join(estimator.observed)}), got {y.shape[1]}")
    try:
        carry = estimator.stepper.init(estimator.prior)
        jax.eval_shape(estimator.stepper.step, carry, jax.numpy.asarray(y[0]))
    except ValueError as error:
        raise ValueError(f"estimator: {error}") from error


def picture(prepared: Prepared) -> Any:
    """What gathers the figure."""
    from experiments.bands import Bands

    estimator = prepared.estimator
    return Bands(estimator.states, estimator.observed, estimator.shown, prepared.time_units)


def run(prepared: Prepared, directory: Path, *, attributes: Mapping[str, Any], watch: Callable,
        report: Callable, **_: Any) -> Estimated:
    """Filter and smooth into ``directory``; see `experiments.simulate.run` for the arguments.

    Raises:
        Diverged: an estimate is not finite; what came before is kept, not smoothed.
    """
    from filters.dataset import PARTS
    from sim.diverged import Diverged, first_bad
    from sim.netcdf import writer
    from sim.stream import Status

    config, every = prepared.config, prepared.config.output.save_every
    with precision(config):
        estimates, smoothed, seconds = _computed(prepared)
        bad = first_bad({"mean": estimates.m, "covariance": estimates.P}, "y", False)
        count = prepared.length if bad is None else bad[0]
        if bad is None:
            bad = first_bad(dict(smoothed._asdict()), "y", False)
            smoothed = smoothed if bad is None else None
        else:
            estimates, smoothed = _first(estimates, count), None
        if count:
            whole = _labelled(prepared, estimates, smoothed, PARTS, count)
            chosen = _labelled(prepared, estimates, smoothed, config.output.keep or KEEP, count)
            chosen = chosen.isel(time=slice(None, None, every))
            with writer(directory / "trajectory.nc", flush=chosen.sizes["time"],
                        attributes=attributes) as append:
                append(0, chosen)
            watch(0, whole)
        report(Status("diverged" if bad else "done", count, prepared.length, 0, *seconds))
        if bad is not None:
            at = bad[0]
            raise Diverged(at + 1, prepared.t0 + at * prepared.dt, bad[1], None, count)
        return Estimated(True, _scores(prepared, estimates))


def _first(tree, count):
    import jax

    return jax.tree.map(lambda leaf: leaf[:count], tree)


def _computed(prepared):
    """The estimates at every observation, smoothed, and the seconds that it took."""
    import jax
    import jax.numpy as jnp

    from filters.gaussian import Estimate
    from sim import rollout

    estimator = prepared.estimator

    def both(prior, ys):
        carry = estimator.stepper.init(prior)
        estimates = rollout(estimator.stepper.step, carry, ys[estimator.used :])[1]
        if estimator.used:  # the prior is what the first observation has taught
            none = jnp.full_like(estimates.innovation[0], jnp.nan)
            start = Estimate(carry.m, carry.P, carry.m, carry.P, jnp.zeros_like(carry.P), none,
                             jnp.full_like(estimates.S[0], jnp.nan), jnp.zeros_like(estimates.loglik[0]))
            estimates = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), start, estimates)
        smoother = estimator.smoother
        return estimates, rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1]

    kind = jnp.result_type(float)
    arguments = jax.tree.map(lambda a: jnp.asarray(a, kind), (estimator.prior, prepared.y))
    began = time.perf_counter()
    compiled = jax.jit(both).lower(*arguments).compile()
    ready = time.perf_counter()
    estimates, smoothed = jax.tree.map(np.asarray, compiled(*arguments))
    return estimates, smoothed, (ready - began, time.perf_counter() - ready)


def _labelled(prepared, estimates, smoothed, keep, count):
    from filters.dataset import dataset

    found = dataset(
        estimates, smoothed, dt=prepared.dt, t0=prepared.t0, keep=tuple(keep),
        states=prepared.estimator.states, observed=prepared.estimator.observed,
        signals={name: values[:count] for name, values in prepared.signals.items()},
    )
    found["time"].attrs.update(units=prepared.time_units, long_name="time")
    return found


def _scores(prepared, estimates):
    """Log-likelihood, and the mean NIS of each sensor with its 95 % bounds."""
    import jax.numpy as jnp

    from filters.diagnostics import consistency, degrees, ljung_box, nis, standardised

    scores = {"loglik": {"total": float(estimates.loglik.sum())}, "nis": {}, "whiteness": {}}
    sensors = prepared.estimator.sensors or {"all": tuple(range(prepared.y.shape[1]))}
    for sensor, rows in sensors.items():
        v, S = estimates.innovation[:, rows], estimates.S[:, rows][:, :, rows]
        count = np.asarray(degrees(v))
        seen = count > 0
        v, S, count = v[seen], S[seen], count[seen]
        if not len(v):
            continue
        found = consistency(nis(v, S), jnp.asarray(count, v.dtype))
        prefix = "" if sensor == "all" else f"{sensor}_"
        for name in ("mean", "lower", "upper"):
            scores["nis"][prefix + name] = float(getattr(found, name))
        lags = min(10, len(v) // 5)
        if lags:
            z = np.asarray(standardised(v, S))
            p = np.asarray(ljung_box(z, lags).p)
            scores["whiteness"][f"{prefix}p"] = float(np.nanmin(np.where(np.isfinite(p), p, 1.0)))
    return scores
