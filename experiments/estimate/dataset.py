"""Estimates and forecasts as datasets."""

import numpy as np


def estimate_dataset(prepared, estimates, smoothed, keep, count):
    """The first ``count`` estimates as a dataset of the parts to ``keep``."""
    from filters.dataset import dataset

    found = dataset(
        estimates,
        smoothed,
        dt=1.0,
        keep=tuple(keep),
        states=prepared.estimator.states,
        observed=prepared.estimator.observed,
        signals={name: values[:count] for name, values in prepared.signals.items()},
    )
    return with_time(found, prepared.time[:count], prepared.time_units)


def with_time(dataset, time, units):
    """The dataset with these times, in these units."""
    attributes = {"units": units, "long_name": "time"}
    found = dataset.assign_coords(time=("time", time, attributes))
    found["time"].encoding["_FillValue"] = None
    return found


def forecast_dataset(prepared, future):
    """State and observation with their 95 % intervals at the times beyond the record."""
    from filters.forecast import interval
    from sim.trajectory import trajectory

    values, about = {}, {}
    states, observed = prepared.estimator.states, prepared.estimator.observed
    observed = {f"{n}_observed" if n in states else n: q for n, q in observed.items()}
    for named, mean, cov in ((states, future.m, future.P), (observed, future.mu, future.S)):
        lower, upper = interval(mean, cov)
        for i, (name, (units, words)) in enumerate(named.items()):
            sd = np.sqrt(np.maximum(cov[:, i, i], 0))
            for suffix, value, what in (
                ("", mean[:, i], "forecast of"),
                ("_sd", sd, "standard deviation of the forecast of"),
                ("_lower", lower[:, i], "lower 95 % bound of the forecast of"),
                ("_upper", upper[:, i], "upper 95 % bound of the forecast of"),
            ):
                values[f"{name}_forecast{suffix}"] = np.asarray(value)
                about[f"{name}_forecast{suffix}"] = (units, f"{what} {words}")
    found = trajectory(values, dt=1.0, first=0, quantities=about)
    return with_time(found, prepared.ahead, prepared.time_units)
