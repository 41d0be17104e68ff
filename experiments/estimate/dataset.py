"""Estimates and forecasts as datasets."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def estimate_dataset(
    prepared: Any, estimates: Any, smoothed: Any, keep: Iterable[str], count: int
) -> Any:
    """The first ``count`` estimates as an `xarray.Dataset`.

    Args:
        prepared: the `experiments.estimate.task.Prepared` of the run.
        estimates, smoothed: of `experiments.estimate.passes.Passes`; smoothed may be None.
        keep: the parts to keep, as `filters.dataset.dataset` names them.
        count: the number of estimates.
    """
    from filters.dataset import dataset

    labelled = dataset(
        estimates,
        smoothed,
        dt=1.0,
        keep=tuple(keep),
        states=prepared.estimator.states,
        observed=prepared.estimator.observed,
        signals={name: values[:count] for name, values in prepared.signals.items()},
    )
    return with_time(labelled, prepared.time[:count], prepared.time_units)


def with_time(dataset: Any, time: np.ndarray, units: str) -> Any:
    """The dataset with these times (N,), in these units."""
    attributes = {"units": units, "long_name": "time"}
    dataset = dataset.assign_coords(time=("time", time, attributes))
    dataset["time"].encoding["_FillValue"] = None
    return dataset


def forecast_dataset(prepared: Any, future: Any) -> Any:
    """Forecast states and observations after the record, with their 95 % intervals.

    Args:
        prepared: the `experiments.estimate.task.Prepared` of the run.
        future: the `filters.forecast.Forecast` at the times ``prepared.ahead``.
    """
    from filters.forecast import interval
    from sim.trajectory import trajectory

    values, quantities = {}, {}
    states, observed = prepared.estimator.states, prepared.estimator.observed
    observed = {f"{n}_observed" if n in states else n: q for n, q in observed.items()}
    for components, mean, cov in ((states, future.m, future.P), (observed, future.mu, future.S)):
        lower, upper = interval(mean, cov)
        for i, (name, (units, description)) in enumerate(components.items()):
            sd = np.sqrt(np.maximum(cov[:, i, i], 0))
            for suffix, value, kind in (
                ("", mean[:, i], "forecast of"),
                ("_sd", sd, "standard deviation of the forecast of"),
                ("_lower", lower[:, i], "lower 95 % bound of the forecast of"),
                ("_upper", upper[:, i], "upper 95 % bound of the forecast of"),
            ):
                values[f"{name}_forecast{suffix}"] = np.asarray(value)
                quantities[f"{name}_forecast{suffix}"] = (units, f"{kind} {description}")
    forecast = trajectory(values, dt=1.0, first=0, quantities=quantities)
    return with_time(forecast, prepared.ahead, prepared.time_units)
