"""From a fit to what is kept of it: traces, scores, residual tests and words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.fitted import Fitted, Trace

LAGS = 30
LEVEL = 0.95


def trace(task: Any, params: Any, sampled: Any, x0: Any, skip: int = 0, band: Any = None) -> Trace:
    """One experiment as the model simulates it, scored from sample ``skip`` on."""
    from sim.fit.initial import predicted
    from sim.fit.scores import scores

    e = task.experiment(sampled)
    simulated = np.asarray(predicted(task.objective, params, x0, e), float)
    found = scores(sampled.y[skip:], simulated[skip:])
    kept = {name: dict(zip(task.outputs, map(float, values), strict=True))
            for name, values in found._asdict().items()}  # fmt: skip
    bands = {} if band is None else dict(zip(task.outputs, np.asarray(band, float).T, strict=True))
    return Trace(
        sampled.part.name, task.time(sampled), dict(zip(task.inputs, sampled.u.T, strict=True)),
        dict(zip(task.outputs, sampled.y.T, strict=True)),
        dict(zip(task.outputs, simulated.T, strict=True)), bands, kept, task.units,
    )  # fmt: skip


def tests(traces: list[Trace], skip: int) -> tuple[dict[str, tuple], list[str]]:
    """Whiteness of the residuals and their correlation with the inputs, in the first trace."""
    from sim.fit.residual_tests import cross_correlation, whiteness

    first, found, said = traces[0], {}, []
    for output in first.measured:
        residual = (first.measured[output] - first.simulated[output])[skip:]
        if np.isfinite(residual).sum() <= 4 * LAGS:
            continue
        done = {f"whiteness {output}": whiteness(residual, LAGS)}
        for name, u in first.inputs.items():
            if np.ptp(u[skip:]) > 0:
                done[f"{name} to {output}"] = cross_correlation(residual, u[skip:], LAGS)
        for name, test in done.items():
            bound = np.broadcast_to(np.asarray(test.bound, float), np.shape(test.lags))
            found[name] = (np.asarray(test.lags), np.asarray(test.correlation, float), bound,
                           float(np.squeeze(test.p)))  # fmt: skip
    return found, said


def fitted(task: Any, found: Any, traces: list[Trace], checks: Mapping[str, tuple],
           said: list[str], seconds: Mapping[str, float], rows: tuple) -> Fitted:  # fmt: skip
    """All that is kept of a fit."""
    import jax
    from jax.tree_util import keystr, tree_flatten_with_path

    from sim.fit.parameters import index

    known = found.uncertainty
    place = {name: i for i, name in enumerate(known.names)}
    names, value, start, error = [], [], [], []
    flat = lambda tree: tree_flatten_with_path(tree)[0]  # noqa: E731
    for (path, leaf), (_, first) in zip(flat(found.params), flat(task.start), strict=True):
        dotted = keystr(path, simple=True, separator=".")
        leaf, first = np.asarray(leaf, float), np.asarray(first, float)
        for i in np.ndindex(leaf.shape):
            names.append(dotted + index(i))
            value.append(leaf[i])
            start.append(first[i])
            error.append(known.standard_error[place[names[-1]]] if names[-1] in place else np.nan)
    count = len(names)
    for i, (state, first) in enumerate(zip(found.states, task.states, strict=True)):
        for (path, leaf), begun in zip(flat(state), jax.tree.leaves(first), strict=True):
            dotted = keystr(path, simple=True, separator=".")
            leaf, begun = np.asarray(leaf, float), np.asarray(begun, float)
            for k in np.ndindex(leaf.shape):
                name = f"states[{i}].{dotted}{index(k)}"
                if name in place:
                    names.append(name)
                    value.append(leaf[k])
                    start.append(begun[k])
                    error.append(known.standard_error[place[name]])
    covariance = np.full((len(names), len(names)), np.nan)
    at = [place.get(name, -1) for name in names]
    kept = np.array([i >= 0 for i in at])
    chosen = np.array([i for i in at if i >= 0])
    covariance[np.ix_(kept, kept)] = np.asarray(known.covariance)[np.ix_(chosen, chosen)]
    value, error = np.array(value), np.array(error)
    reach = 1.959964 * error
    units = tuple(task.parameter_units.get(name, "") for name in names[:count])
    units += tuple("" for _ in names[count:])
    return Fitted(
        task.title, tuple(traces), tuple(names), units, value, np.array(start), error,
        value - reach, value + reach, covariance, np.asarray(found.loss), dict(checks),
        tuple(said), rows, dict(seconds),
    )  # fmt: skip


def beside(data: Any, traces: list[Trace]) -> tuple:
    """Our scores of the tests and the published ones, in the units of these."""
    if not data.published:
        return ()
    units = f" ({data.units})" if data.units else ""
    ours = {
        f"{trace.name}{units}": data.scale * next(iter(trace.scores["rmse"].values()))
        for trace in traces
    }
    rows = [("this fit", ours)] if ours else []
    for method, scores in data.published.items():
        rows.append((method, {f"{name}{units}": float(v) for name, v in scores.items()}))
    return tuple(rows)
