"""Traces, scores and residual tests of a fitted model, collected in a report."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.identification.result_file import ExperimentTrace, FitReport

MAX_LAGS = 30
INTERVAL_LEVEL = 0.95  # of the intervals


def data_warnings(task: Any) -> list[str]:
    """What to know of the records, whatever was found."""
    from sim.records.excitation import constant_inputs
    from sim.records.experiment import Experiment

    data = task.data
    named = [Experiment(dict(zip(data.inputs, s.u.T, strict=True)), s.y) for s in data.training]
    return [*(constant_inputs(named) if data.inputs else ()), *data.said, *task.said]


def with_band(task: Any, trace: ExperimentTrace, sd: Any) -> ExperimentTrace:
    """A trace with the standard deviation (T, outputs) of its simulation."""
    return trace._replace(band=dict(zip(task.outputs, np.asarray(sd, float).T, strict=True)))


def make_trace(
    task: Any, sampled: Any, simulated: Any, skip: int = 0, band: Any = None
) -> ExperimentTrace:
    """One experiment beside its simulation (T, outputs), scored from sample ``skip`` on."""
    from sim.fit.validation.scores import scores

    if skip >= len(sampled.y):
        raise ValueError(f"n: expected fewer known samples than its {len(sampled.y)}, got {skip}")
    simulated = np.asarray(simulated, float)
    of = scores(sampled.y[skip:], simulated[skip:])
    kept = {
        name: dict(zip(task.outputs, map(float, values), strict=True))
        for name, values in of._asdict().items()
    }
    found = ExperimentTrace(
        sampled.part.name,
        task.time(sampled),
        dict(zip(task.inputs, sampled.u.T, strict=True)),
        dict(zip(task.outputs, sampled.y.T, strict=True)),
        dict(zip(task.outputs, simulated.T, strict=True)),
        {},
        kept,
        task.units,
    )
    return found if band is None else with_band(task, found, band)


def residual_tests(first: ExperimentTrace, skip: int) -> dict[str, tuple]:
    """Whiteness of the residuals and their correlation with the inputs; none of a short record."""
    from sim.fit.validation.residual_tests import cross_correlation, whiteness

    found = {}
    for output in first.measured:
        residual = (first.measured[output] - first.simulated[output])[skip:]
        lags = min(MAX_LAGS, np.isfinite(residual).sum() // 5)
        if lags < 5 or not np.nanstd(residual) > 0:
            continue
        done = {f"whiteness {output}": whiteness(residual, lags)}
        for name, u in first.inputs.items():
            if np.ptp(u[skip:]) > 0:
                done[f"{name} to {output}"] = cross_correlation(residual, u[skip:], lags)
        for name, test in done.items():
            bound = np.broadcast_to(np.asarray(test.bound, float), np.shape(test.lags))
            found[name] = (
                np.asarray(test.lags),
                np.asarray(test.correlation, float),
                bound,
                float(np.squeeze(test.p)),
            )
    return found


def to_report(
    task: Any,
    found: Any,
    traces: list[ExperimentTrace],
    checks: Mapping[str, tuple],
    said: list[str],
    seconds: Mapping[str, float],
    rows: tuple,
) -> FitReport:
    """All that is kept of a fit."""
    names, value, start = [], [], []
    for name, number, first in _scalars("", found.params, task.start):
        names.append(name)
        value.append(number)
        start.append(first)
    known = found.uncertainty
    place = {name: (i, 1.0) for name, i in zip(known.names, range(len(known.names)), strict=True)}
    place |= _tied_errors(found.problem.layout, place)
    for i, state in enumerate(found.states):
        for name, number, first in _scalars(f"states[{i}]", state, task.state):
            if name in place and len(found.problem.order) == len(found.states):
                names.append(name)
                value.append(number)
                start.append(first)
    count = len(names)
    value, error, covariance = (
        np.array(value),
        np.full(count, np.nan),
        np.full((count, count), np.nan),
    )
    rated = [i for i, name in enumerate(names) if name in place]
    at, factor = (np.array(x) for x in zip(*(place[names[i]] for i in rated), strict=True))
    error[rated] = np.abs(factor) * np.asarray(known.standard_error)[at]
    if known.covariance is not None:
        part = np.asarray(known.covariance)[np.ix_(at, at)]
        covariance[np.ix_(rated, rated)] = part * factor * factor[:, None]
    ends = np.full((count, 2), np.nan)
    ends[rated] = np.sort(known.interval(INTERVAL_LEVEL)[at] * factor[:, None])
    units = tuple(task.parameter_units.get(re.sub(r"\[[\d, ]*\]", "", name), "") for name in names)
    return FitReport(
        task.title,
        tuple(traces),
        tuple(names),
        units,
        value,
        np.array(start),
        error,
        *ends.T,
        covariance,
        np.asarray(found.loss),
        dict(checks),
        tuple(said),
        rows,
        dict(seconds),
    )


def _scalars(stem, tree, like):
    """Name, value, and that of another tree, of each number."""
    import jax
    from jax.tree_util import keystr, tree_flatten_with_path

    from sim.fit.parameters.vector import index_suffix

    for (path, leaf), first in zip(
        tree_flatten_with_path(tree)[0], jax.tree.leaves(like), strict=True
    ):
        dotted = keystr(path, simple=True, separator=".")
        name = ".".join(filter(None, [stem, dotted])) or "parameter"
        leaf, first = np.asarray(leaf, float), np.asarray(first, float)
        for i in np.ndindex(leaf.shape):
            yield name + index_suffix(i), leaf[i], first[i]


def _tied_errors(declared, place):
    """Where a tied parameter finds its error: at the other's, times its factor."""
    from sim.fit.parameters.constraints import Tied
    from sim.fit.parameters.vector import index_suffix

    return {
        name + index_suffix(i): (place[kind.to + index_suffix(i)][0], kind.factor)
        for name, shape, kind in zip(declared.names, declared.shapes, declared.kinds, strict=True)
        if isinstance(kind, Tied)
        for i in np.ndindex(shape)
        if kind.to + index_suffix(i) in place
    }


def published_comparison(data: Any, traces: list[ExperimentTrace]) -> tuple:
    """Our scores of the tests and the published ones, in the units of these; none without a test."""
    if not data.published or not traces:
        return ()
    units = f" ({data.units})" if data.units else ""
    ours = {
        f"{trace.name}{units}": data.scale * next(iter(trace.scores["rmse"].values()))
        for trace in traces
    }
    rows = [("this fit", ours)]
    for method, scores in data.published.items():
        rows.append((method, {f"{name}{units}": float(v) for name, v in scores.items()}))
    return tuple(rows)
