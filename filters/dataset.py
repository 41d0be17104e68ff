"""Estimates with names, units and time: to an `xarray.Dataset`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from filters.diffuse import DiffuseEstimate

PARTS = ("mean", "sd", "covariance", "predicted", "innovation", "loglik")


def dataset(
    estimates: Any,
    smoothed: Any = None,
    *,
    dt: float,
    states: Mapping[str, tuple[str, str]],
    observed: Mapping[str, tuple[str, str]] | None = None,
    t0: float = 0.0,
    keep: tuple[str, ...] = ("mean", "sd"),
    signals: Mapping[str, Any] | None = None,
) -> Any:
    """Chosen parts of the estimates of a filter and a smoother, as an `xarray.Dataset`.

        ANGLE_filtered ± 1.96 ANGLE_filtered_sd,   sd = √Pᵢᵢ,   time[k] = t0 + k·dt

    Args:
        estimates: the stacked `filters.gaussian.Estimate` of a filter.
        smoothed: the stacked `Gaussian` of a smoother, or None.
        dt: between observations, s.
        states: for each component of the state in order, its name: (units, long name).
        observed: the same for each component of the observation; for "innovation".
        t0: time of the first observation, s.
        keep: which of ``PARTS``. For a state x these are x_filtered and x_smoothed ("mean"),
            with _sd ("sd") and, for every pair, x_v_filtered_covariance ("covariance");
            x_predicted, with _sd ("predicted"); for an observation y y_innovation and
            y_innovation_sd ("innovation"); and loglik of each step ("loglik").
        signals: named arrays on the same times, such as the record itself. One with the
            name of a state or an observation, or that name and "_true", gets its units.

    Raises:
        ValueError: an unknown part, a number of names other than that of the components, or
            estimates of `diffuse_kalman` while part of the state is unknown: leave those
            steps out.

    Reference: as for `sim.trajectory.trajectory`, which labels them.

    >>> import jax.numpy as jnp
    >>> from filters.gaussian import Gaussian
    >>> from filters.kalman import LinearGaussian, kalman
    >>> from sim import rollout
    >>> walk = kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0]))
    >>> _, estimates = rollout(walk.step, walk.init(Gaussian([0.0], [[1.0]])), jnp.ones((3, 1)))
    >>> found = dataset(estimates, dt=0.5, states={"x": ("m", "position")})
    >>> sorted(found), found.x_filtered.units, found.time.values.tolist()
    (['x_filtered', 'x_filtered_sd'], 'm', [0.0, 0.5, 1.0])
    """
    from sim.trajectory import trajectory  # it loads xarray, which no filter needs

    unknown = [part for part in keep if part not in PARTS]
    if unknown:
        raise ValueError(f"keep: expected some of {', '.join(PARTS)}, got {unknown[0]!r}")
    if isinstance(estimates, DiffuseEstimate) and np.any(estimates.spread):
        raise ValueError(
            "estimates: expected the whole state to be known, got steps of a diffuse "
            "filter in which some of it is not: leave them out"
        )
    observed = observed or {}
    _count("states", states, np.shape(estimates.m)[1])
    beliefs = {"filtered": (estimates.m, estimates.P)}
    if smoothed is not None:
        beliefs["smoothed"] = tuple(smoothed)
    predicted = {"predicted": (estimates.m_pred, estimates.P_pred)}
    values, quantities = {}, {}

    def add(name, value, units, words):
        values[name], quantities[name] = np.asarray(value), (units, words)

    for kind, (m, P) in (beliefs | (predicted if "predicted" in keep else {})).items():
        m, P = np.asarray(m), np.asarray(P)
        for i, (state, (units, words)) in enumerate(states.items()):
            if "mean" in keep or kind == "predicted":
                add(f"{state}_{kind}", m[:, i], units, f"{words}, {kind}")
            if "sd" in keep or kind == "predicted":
                sd = np.sqrt(np.maximum(P[:, i, i], 0))
                add(f"{state}_{kind}_sd", sd, units, f"standard deviation of {words}, {kind}")
            if "covariance" in keep and kind != "predicted":
                for j, (other, (other_units, other_words)) in list(enumerate(states.items()))[i:]:
                    name = f"{state}_{other}_{kind}_covariance"
                    add(
                        name,
                        P[:, i, j],
                        _product(units, other_units),
                        f"covariance of {words} and {other_words}, {kind}",
                    )
    if "innovation" in keep:
        _count("observed", observed, np.shape(estimates.innovation)[1])
        for i, (name, (units, words)) in enumerate(observed.items()):
            sd = np.sqrt(np.asarray(estimates.S)[:, i, i])
            add(
                f"{name}_innovation",
                np.asarray(estimates.innovation)[:, i],
                units,
                f"innovation of {words}",
            )
            add(f"{name}_innovation_sd", sd, units, f"standard deviation of innovation of {words}")
    if "loglik" in keep:
        add("loglik", estimates.loglik, "1", "log-likelihood of the observation of this step")
    names = {**states, **observed}
    for name in signals or {}:
        units, words = names.get(name.removesuffix("_true"), ("1", name))
        quantities[name] = (units, f"true {words}" if name.endswith("_true") else words)
    return trajectory(values, dt=dt, t0=t0, first=0, signals=signals, quantities=quantities)


def _count(name, given, count):
    if len(given) != count:
        raise ValueError(f"{name}: expected {count} names, got {len(given)}: {', '.join(given)}")


def _product(*units):
    """The product of units: those that are not 1, in parentheses."""
    return ".".join(f"({u})" for u in units if u != "1") or "1"
