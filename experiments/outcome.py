"""From a fit to what is kept of it: traces, scores, residual tests and words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.fitted import ExperimentTrace, FitReport
from experiments.searched import reword_error

MAX_LAGS = 30
INTERVAL_LEVEL = 0.95  # of the intervals


def evaluate(task: Any, found: Any, seconds: Mapping[str, float]) -> FitReport:
    """Everything that is kept; the tests are opened here, once, and nothing is chosen by them.

    A record that cannot be scored is a finding: the fit is not lost with it.
    """
    from sim.fit.bands import bands
    from sim.fit.initial import free_run, initial_state

    data, traces, said = task.data, [], [found.message]
    whole = len(found.problem.order) == len(data.training)  # not segments that stayed apart
    for sampled, x0 in zip(data.training, found.states, strict=True):
        simulated = free_run(task.objective, found.params, x0, task.experiment(sampled))
        traces.append(make_trace(task, sampled, simulated))
    # Where a state is not searched, its error fades over the first samples.
    skip = 0 if task.search.states == "free" else data.training[0].part.known
    checks = residual_tests(traces[0], skip)
    found = with_coloured_uncertainty(found, checks, said)
    if task.search.bands and whole:
        traces = [with_band(task, one, bands(found, i).sd) for i, one in enumerate(traces)]
    tests = []
    for sampled in (*data.validation, *data.tests):
        part, test = sampled.part, sampled.y.shape[1] == 0
        try:
            sampled = data.opened(sampled) if test else sampled
            e = task.experiment(sampled)
            x0 = initial_state(task.objective, found.params, e, part.known, task.state)
            simulated = free_run(task.objective, found.params, x0, e)
            traces.append(make_trace(task, sampled, simulated, part.known))
            tests += [traces[-1]] if test else []
        except (OSError, ValueError) as error:
            said.append(f"{part.name} was not scored: {reword_error(error)}")
    said += found.uncertainty.open
    said += data_warnings(task)
    done = to_report(task, found, traces, checks, said, seconds, published_comparison(data, tests))
    return with_profiles(done, found, task.search.profile) if task.search.profile else done


def with_coloured_uncertainty(found: Any, checks: Mapping[str, tuple], said: list[str]) -> Any:
    """The fit, with the uncertainty of coloured residuals where these are not white at 5 %, which
    is then said."""
    from sim.fit.coloured import coloured_uncertainty
    from sim.fit.objectives import is_likelihood

    white = found.uncertainty
    failed = [p for name, (*_, p) in checks.items() if name.startswith("whiteness ") and p < 0.05]
    if not failed or white.covariance is None or is_likelihood(found.problem.objective):
        return found
    try:
        own = coloured_uncertainty(found)
    except ValueError:  # of segments that stayed apart
        said.append(
            "the residual is not white: the intervals, which take it as white, are too narrow"
        )
        return found
    known = np.isfinite(white.standard_error) & (white.standard_error > 0)
    ratio = (
        np.median(own.standard_error[known] / white.standard_error[known]) if known.any() else 1.0
    )
    said.append(
        f"the residual is not white: the intervals count its memory, and are {ratio:.1f} times as "
        "wide as they would be without; what a wrong model shifts they do not hold"
    )
    return found._replace(uncertainty=own)


def data_warnings(task: Any) -> list[str]:
    """What to know of the records, whatever was found."""
    from sim.fit.excitation import constant_inputs
    from sim.fit.experiment import Experiment

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
    from sim.fit.scores import scores

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
    from sim.fit.residual_tests import cross_correlation, whiteness

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
    place |= _tied_errors(found.problem.declared, place)
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


def with_profiles(done: FitReport, found: Any, names: Sequence[str]) -> FitReport:
    """With the intervals of some parameters by the profile likelihood; one that cannot be told
    is a finding."""
    from sim.fit import profile

    ends, said = np.full((len(done.names), 2), np.nan), []
    for name in names:
        try:
            ends[done.names.index(name)] = profile(found, name, level=INTERVAL_LEVEL).interval
        except ValueError as error:
            said.append(f"{name} has no profile: {error}")
    if any(text.startswith("the residual is not white") for text in done.said):
        said.append(
            "the intervals by profile take the residual as white, which it is not: they are too narrow"
        )
    return done._replace(profile=ends, said=(*done.said, *said))


def _scalars(stem, tree, like):
    """Name, value, and that of another tree, of each number."""
    import jax
    from jax.tree_util import keystr, tree_flatten_with_path

    from sim.fit.parameters import index_suffix

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
    from sim.fit.kinds import Tied
    from sim.fit.parameters import index_suffix

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
