"""The variables of the file of a fit: experiments, residual tests and tables."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from experiments.identification.fit_report import ExperimentTrace, FitReport

PARAMETER_COLUMNS = {  # a column of the table of parameters to its long name
    "value": "estimated or fixed value",
    "start": "value the fit began from",
    "standard_error": "standard error, missing where fixed or held by a bound",
    "lower": "lower bound of the 95 % interval",
    "upper": "upper bound of the 95 % interval",
}
LONG_NAMES = {  # the role of a variable to its long name
    "input": "input {}",
    "measured": "measured {}",
    "simulated": "simulated {}",
    "residual": "measured less simulated {}",
    "sd": "standard deviation of the simulated {}",
}
TEST_PARTS = ("lag", "correlation", "bound", "p")


def report_dataset(report: FitReport) -> Any:
    """The report as an `xarray.Dataset`."""
    from sim.trajectory import trajectory

    tables = _table_variables(report)
    taken = {*tables, *(dim for dims, *_ in tables.values() for dim in dims)}
    variables = {}
    for i, trace in enumerate(report.traces):
        variables |= _trace_variables(trace, "" if i == 0 else f"{trace.name}_", taken)
    for name, parts in report.tests.items():
        variables |= _test_variables(name, _free_name(name, taken, *TEST_PARTS), *parts)
    empty = trajectory({"y": np.zeros(1)}, dt=1.0)[[]].drop_vars("time", errors="ignore")
    return empty.assign({**variables, **tables})


def _trace_variables(trace: ExperimentTrace, prefix: str, taken: set[str]):
    """The variables of one experiment."""
    dim = _free_name(f"{prefix}time", taken)
    experiment = {"experiment": trace.name}
    attributes = {"units": "s", "long_name": "elapsed time", **experiment, "role": "time"}
    time = np.asarray(trace.time, float)
    variables = {dim: _variable((dim,), time, coordinate=True, **attributes)}
    residual = {
        name: np.asarray(measured) - np.asarray(trace.simulated[name])
        for name, measured in trace.measured.items()
        if name in trace.simulated
    }
    columns = (trace.inputs, trace.measured, trace.simulated, residual, trace.band)
    for (role, long_name), values in zip(LONG_NAMES.items(), columns, strict=True):
        for name, value in values.items():
            suffix = f"_{role}" if role != "input" else ""
            attributes = {"units": trace.units[name]} if name in trace.units else {}
            attributes |= {"long_name": long_name.format(name), **experiment}
            attributes |= {"role": role, "quantity": name}
            variable = _variable((dim,), value, **attributes)
            variables[_free_name(f"{prefix}{name}{suffix}", taken)] = variable
    return variables


def _test_variables(test, prefix, lags, correlation, bound, p):
    """The variables of one test of the residual; their names begin with ``prefix``."""
    dims = (f"{prefix}_lag",)
    long_names = {
        "lag": f"lag, {test}",
        "correlation": f"correlation, {test}",
        "bound": f"bound of the correlation, {test}",
        "p": f"probability under the hypothesis, {test}",
    }
    values = {
        "lag": (dims, lags),
        "correlation": (dims, correlation),
        "bound": (dims[: np.ndim(bound)], bound),
        "p": ((), p),
    }
    return {
        f"{prefix}_{part}": _variable(
            *values[part],
            coordinate=part == "lag",
            long_name=long_names[part],
            residual_test=test,
        )
        for part in TEST_PARTS
    }


def _table_variables(report: FitReport):
    """The variables without time, as far as they are not empty."""
    tables = {
        **_parameter_variables(report),
        **_loss_variables(report),
        **_score_variables(report),
        "finding_text": _strings("finding", report.sentences),
        "phase_name": _strings("phase", report.seconds),
        "phase_seconds": _variable(
            ("phase",),
            list(report.seconds.values()),
            units="s",
            long_name="wall-clock time",
            coordinates="phase_name",
        ),
    }
    return {name: variable for name, variable in tables.items() if variable[1].size}


def _parameter_variables(report):
    dims, named = ("parameter",), {"coordinates": "parameter_name"}
    estimated = (~np.isnan(np.asarray(report.standard_error, float))).astype(np.int8)
    flags = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "fixed estimated"}
    values = report._asdict()
    columns = {
        f"parameter_{name}": _variable(dims, values[name], long_name=long_name, **named)
        for name, long_name in PARAMETER_COLUMNS.items()
    }
    return {
        "parameter_name": _strings("parameter", report.names),
        "parameter_2_name": _strings("parameter_2", report.names),
        "parameter_units": _strings("parameter", report.units),
        **columns,
        "parameter_profile": _variable(
            ("parameter", "bound"), report.profile, long_name="interval by profile", **named
        ),
        "parameter_estimated": _variable(
            dims, estimated, long_name="whether estimated", **flags, **named
        ),
        "covariance": _variable(
            ("parameter", "parameter_2"),
            report.covariance,
            long_name="covariance of parameters",
            coordinates="parameter_name parameter_2_name",
        ),
    }


def _loss_variables(report):
    dims, iteration = ("iteration",), np.arange(len(report.loss), dtype=np.int32)
    return {
        "iteration": _variable(dims, iteration, long_name="iteration"),
        "loss": _variable(dims, report.loss, long_name="loss"),
        "validation_loss": _variable(dims, report.validation, long_name="loss on the validation"),
        "weight_name": _strings("weight", report.weights),
        "weight_size": _variable(
            ("weight",),
            np.array(list(report.weights.values()), np.int32),
            long_name="numbers in a part of the network",
            coordinates="weight_name",
        ),
    }


def _score_variables(report):
    rows = [
        (i, trace.name, score, output, value)
        for i, trace in enumerate(report.traces)
        for score, outputs in trace.scores.items()
        for output, value in outputs.items()
    ]
    index, experiment, score, output, value = zip(*rows, strict=True) if rows else ((),) * 5
    columns = list(dict.fromkeys(c for _, row in report.published for c in row))
    published = [[row.get(c, np.nan) for c in columns] for _, row in report.published]
    return {
        "score_trace": _variable(("score",), index, long_name="number of the experiment, from 0"),
        "score_experiment": _strings("score", experiment),
        "score_name": _strings("score", score),
        "score_output": _strings("score", output),
        "score_value": _variable(
            ("score",),
            value,
            long_name="score",
            coordinates="score_trace score_experiment score_name score_output",
        ),
        "method_name": _strings("method", [method for method, _ in report.published]),
        "column_name": _strings("column", columns),
        "published_score": _variable(
            ("method", "column"),
            published,
            long_name="this and published scores",
            coordinates="method_name column_name",
        ),
    }


def _variable(dims, values, *, coordinate=False, **attributes):
    """A variable as xarray takes it: of floats, or a vector of integers."""
    values = np.asarray(values)
    if values.dtype.kind != "f" and not (values.dtype.kind == "i" and dims):
        values = values.astype(float)
    fill = np.nan if values.dtype.kind == "f" and not coordinate else None
    return dims, values, attributes, {"_FillValue": fill}


def _strings(dim, texts: Iterable[str]):
    attributes = {"long_name": f"name of the {dim.removesuffix('_2')}"}
    return (dim,), np.array(list(texts), dtype=np.str_), attributes, {"_FillValue": None}


def _free_name(name, taken, *parts):
    """A name of letters, digits and _ that is not in ``taken``, to which it is added.

    With ``parts``, the names that end with _part are free, and added, too.
    """
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    plain = plain if plain[:1].isalpha() else f"x_{plain}".rstrip("_")
    free, number = plain, 1
    while taken & (names := {free, *(f"{free}_{part}" for part in parts)}):
        number += 1
        free = f"{plain}_{number}"
    taken |= names
    return free
