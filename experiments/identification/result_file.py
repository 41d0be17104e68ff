"""What a fit found, with its data, in one NetCDF file and back from it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.records import dataset_file

PARAMETER_COLUMNS = {  # a column of the table of parameters: in words
    "value": "estimated or fixed value",
    "start": "value the fit began from",
    "standard_error": "standard error, missing where fixed or held by a bound",
    "lower": "lower bound of the 95 % interval",
    "upper": "upper bound of the 95 % interval",
}
LONG_NAMES = {
    "input": "input {}",
    "measured": "measured {}",
    "simulated": "simulated {}",
    "residual": "measured less simulated {}",
    "sd": "standard deviation of the simulated {}",
}
TEST_PARTS = ("lag", "correlation", "bound", "p")


class ExperimentTrace(NamedTuple):
    """One experiment: its record, and what the fitted model makes of it.

    Attributes:
        name: "training", "validation", "multisine", …
        time: (T,), s, strictly increasing.
        inputs, measured, simulated: name to (T,); NaN in ``measured`` is missing.
        band: the standard deviation of the simulated, name to (T,); or empty.
        scores: score to output to number.
        units: of inputs and outputs, those that are known.
    """

    name: str
    time: np.ndarray
    inputs: Mapping[str, np.ndarray]
    measured: Mapping[str, np.ndarray]
    simulated: Mapping[str, np.ndarray]
    band: Mapping[str, np.ndarray]
    scores: Mapping[str, Mapping[str, float]]
    units: Mapping[str, str] = {}


class FitReport(NamedTuple):
    """The whole outcome of a fit.

    Attributes:
        traces: the experiments, those of the training first.
        names, units: of P scalar parameters: "mass", "gain[0]", "initial.position".
        value, start, standard_error, lower, upper: (P,), with 95 % intervals; the standard
            error is NaN where it is fixed or held by a bound, infinite where nothing determines it.
        covariance, loss: (P, P), (iterations + 1,).
        tests: of the residual, "whiteness y" to (lags, correlation, bound, p).
        said: findings in words.
        published: (method, {column: score}), this fit first.
        seconds: "compile", "fit".
        validation: (iterations + 1,), the loss on the validation; or empty.
        weights: of a network, each part to how many numbers it has; not among the names.
        profile: (P, 2), intervals by the profile likelihood, NaN where not asked for; or empty.
    """

    title: str
    traces: tuple[ExperimentTrace, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    value: np.ndarray
    start: np.ndarray
    standard_error: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    covariance: np.ndarray
    loss: np.ndarray
    tests: Mapping[str, tuple] = {}
    said: tuple[str, ...] = ()
    published: tuple[tuple[str, Mapping[str, float]], ...] = ()
    seconds: Mapping[str, float] = {}
    validation: np.ndarray = np.zeros(0)
    weights: Mapping[str, int] = {}
    profile: np.ndarray = np.zeros((0, 2))


def write_fit(path: Path, fitted: FitReport, attributes: Mapping[str, Any]) -> None:
    """Write one flat file, whole or not at all.

    The first experiment has the dimension ``time`` and plain names, y_measured, y_simulated,
    y_residual, y_sd and the inputs; each further one has them behind its own name,
    validation_time, validation_y_measured, … Every variable says in its attributes of which
    ``experiment`` it is, which ``quantity`` and in which ``role``.

    Args:
        path: the file.
        fitted: what to write.
        attributes: global ones: configuration, versions; the title is of the fit.

    Raises:
        OSError: it cannot be written.

    Reference: CF Conventions 1.11 (cfconventions.org): names of variables are of ASCII letters,
    digits and _, and labels stand in auxiliary coordinates, such as ``parameter_name``.

    >>> import tempfile
    >>> from sim.netcdf import read
    >>> time, one = np.array([0.0, 0.1]), np.ones(1)
    >>> run = ExperimentTrace("training", time, {"u": time}, {"y": time}, {"y": time}, {}, {})
    >>> fit = FitReport("A gain", (run,), ("gain",), ("1",), one, one, one, one, one, one[None], one)
    >>> path = Path(tempfile.mkdtemp()) / "fit.nc"
    >>> write_fit(path, fit, {})
    >>> read(path).y_simulated.sel(time=0.1).item(), read_fit(path).names
    (0.1, ('gain',))
    """
    dataset_file.write_dataset(
        Path(path), _report_dataset(fitted), {**attributes, "title": fitted.title}
    )


def read_fit(path: Path) -> FitReport:
    """What `write_fit` wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no file of a fit.
    """
    from sim.netcdf import read

    data = read(path)
    times = [name for name in data.variables if data[name].attrs.get("role") == "time"]
    if not times:
        raise ValueError(f"path: expected the file of a fit, got {path}")

    def numbers(name, shape=(0,)):
        return data[name].values if name in data.variables else np.zeros(shape)

    def strings(name):
        return tuple(str(text) for text in numbers(name))

    scores: dict = {}
    score = (numbers("score_trace"), strings("score_name"), strings("score_output"))
    for trace, name, output, value in zip(*score, numbers("score_value"), strict=True):
        scores.setdefault(int(trace), {}).setdefault(name, {})[output] = float(value)
    columns, rows = strings("column_name"), numbers("published_score")
    published = tuple(
        (method, {c: float(x) for c, x in zip(columns, row, strict=True) if not np.isnan(x)})
        for method, row in zip(strings("method_name"), rows, strict=True)
    )
    return FitReport(
        str(data.attrs["title"]),
        tuple(_read_trace(data, dim, scores.get(i, {})) for i, dim in enumerate(times)),
        strings("parameter_name"),
        strings("parameter_units"),
        *(numbers(f"parameter_{column}") for column in PARAMETER_COLUMNS),
        numbers("covariance", (0, 0)),
        numbers("loss"),
        _read_tests(data),
        strings("finding_text"),
        published,
        dict(zip(strings("phase_name"), numbers("phase_seconds").tolist(), strict=True)),
        numbers("validation_loss"),
        dict(zip(strings("weight_name"), map(int, numbers("weight_size")), strict=True)),
        numbers("parameter_profile", (0, 2)),
    )


def _read_trace(data, dim, scores):
    found: dict = {role: {} for role in LONG_NAMES}
    units = {}
    for variable in data.variables.values():
        if variable.dims == (dim,) and variable.attrs["role"] in LONG_NAMES:
            name = variable.attrs["quantity"]
            found[variable.attrs["role"]][name] = variable.values
            if "units" in variable.attrs:
                units[name] = variable.attrs["units"]
    parts = (found[role] for role in ("input", "measured", "simulated", "sd"))
    return ExperimentTrace(data[dim].attrs["experiment"], data[dim].values, *parts, scores, units)


def _read_tests(data):
    found: dict = {}
    for name, variable in data.variables.items():
        if "residual_test" in variable.attrs:
            value = variable.values if variable.ndim else variable.values.item()
            found.setdefault(variable.attrs["residual_test"], {})[name.rpartition("_")[2]] = value
    return {name: tuple(parts[part] for part in TEST_PARTS) for name, parts in found.items()}


def _report_dataset(fitted):
    """All of it as an `xarray.Dataset`."""
    from sim.trajectory import trajectory

    tables = _table_variables(fitted)
    taken = {*tables, *(dim for dims, *_ in tables.values() for dim in dims)}
    variables = {}
    for i, trace in enumerate(fitted.traces):
        variables |= _trace_variables(trace, "" if i == 0 else f"{trace.name}_", taken)
    for name, (lags, correlation, bound, p) in fitted.tests.items():
        variables |= _test_variables(
            name, _free_name(name, taken, *TEST_PARTS), lags, correlation, bound, p
        )
    empty = trajectory({"y": np.zeros(1)}, dt=1.0)[[]].drop_vars("time", errors="ignore")
    return empty.assign({**variables, **tables})


def _trace_variables(trace, prefix, taken):
    """The variables of one experiment."""
    dim = _free_name(f"{prefix}time", taken)
    of = {"experiment": trace.name}
    about = {"units": "s", "long_name": "elapsed time", **of, "role": "time"}
    found = {dim: _variable((dim,), np.asarray(trace.time, float), coordinate=True, **about)}
    both = [name for name in trace.measured if name in trace.simulated]
    residual = {n: np.asarray(trace.measured[n]) - np.asarray(trace.simulated[n]) for n in both}
    parts = (trace.inputs, trace.measured, trace.simulated, residual, trace.band)
    for (role, words), values in zip(LONG_NAMES.items(), parts, strict=True):
        for name, value in values.items():
            plain = _free_name(f"{prefix}{name}" + (f"_{role}" if role != "input" else ""), taken)
            units = {"units": trace.units[name]} if name in trace.units else {}
            about = {**units, "long_name": words.format(name), **of, "role": role, "quantity": name}
            found[plain] = _variable((dim,), value, **about)
    return found


def _test_variables(name, plain, lags, correlation, bound, p):
    """The variables of one test of the residual."""
    dims, of = (dim := f"{plain}_lag",), {"residual_test": name}
    return {
        dim: _variable(dims, lags, coordinate=True, long_name=f"lag, {name}", **of),
        f"{plain}_correlation": _variable(
            dims, correlation, long_name=f"correlation, {name}", **of
        ),
        f"{plain}_bound": _variable(
            dims[: np.ndim(bound)], bound, long_name=f"bound of the correlation, {name}", **of
        ),
        f"{plain}_p": _variable((), p, long_name=f"probability under the hypothesis, {name}", **of),
    }


def _table_variables(fitted):
    """The variables without time; of those that are empty none."""
    named = {"coordinates": "parameter_name"}
    estimated = (~np.isnan(np.asarray(fitted.standard_error, float))).astype(np.int8)
    flags = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "fixed estimated"}
    scores = [
        (i, trace.name, name, output, value)
        for i, trace in enumerate(fitted.traces)
        for name, outputs in trace.scores.items()
        for output, value in outputs.items()
    ]
    which, experiment, score, output, number = zip(*scores, strict=True) if scores else ((),) * 5
    columns = list(dict.fromkeys(c for _, row in fitted.published for c in row))
    rows = [[row.get(c, np.nan) for c in columns] for _, row in fitted.published]
    scored = {"coordinates": "score_trace score_experiment score_name score_output"}
    tables = {
        "parameter_name": _strings("parameter", fitted.names),
        "parameter_2_name": _strings("parameter_2", fitted.names),
        "parameter_units": _strings("parameter", fitted.units),
        **{
            f"parameter_{c}": _variable(
                ("parameter",), getattr(fitted, c), long_name=words, **named
            )
            for c, words in PARAMETER_COLUMNS.items()
        },
        "parameter_profile": _variable(
            ("parameter", "bound"), fitted.profile, long_name="interval by profile", **named
        ),
        "parameter_estimated": _variable(
            ("parameter",), estimated, long_name="whether estimated", **flags, **named
        ),
        "covariance": _variable(
            ("parameter", "parameter_2"),
            fitted.covariance,
            long_name="covariance of parameters",
            coordinates="parameter_name parameter_2_name",
        ),
        "iteration": _variable(
            ("iteration",), np.arange(len(fitted.loss), dtype=np.int32), long_name="iteration"
        ),
        "loss": _variable(("iteration",), fitted.loss, long_name="loss"),
        "validation_loss": _variable(
            ("iteration",), fitted.validation, long_name="loss on the validation"
        ),
        "weight_name": _strings("weight", fitted.weights),
        "weight_size": _variable(
            ("weight",),
            np.array(list(fitted.weights.values()), np.int32),
            long_name="numbers in a part of the network",
            coordinates="weight_name",
        ),
        "score_trace": _variable(("score",), which, long_name="number of the experiment, from 0"),
        "score_experiment": _strings("score", experiment),
        "score_name": _strings("score", score),
        "score_output": _strings("score", output),
        "score_value": _variable(("score",), number, long_name="score", **scored),
        "method_name": _strings("method", [method for method, _ in fitted.published]),
        "column_name": _strings("column", columns),
        "published_score": _variable(
            ("method", "column"),
            rows,
            long_name="this and published scores",
            coordinates="method_name column_name",
        ),
        "finding_text": _strings("finding", fitted.said),
        "phase_name": _strings("phase", list(fitted.seconds)),
        "phase_seconds": _variable(
            ("phase",),
            list(fitted.seconds.values()),
            units="s",
            long_name="wall-clock time",
            coordinates="phase_name",
        ),
    }
    return {name: variable for name, variable in tables.items() if variable[1].size}


def _variable(dims, values, *, coordinate=False, **attributes):
    """As xarray takes a variable: floats, but for vectors of integers."""
    values = np.asarray(values)
    if values.dtype.kind != "f" and not (values.dtype.kind == "i" and dims):
        values = values.astype(float)
    fill = np.nan if values.dtype.kind == "f" and not coordinate else None
    return dims, values, attributes, {"_FillValue": fill}


def _strings(dim, texts: Iterable[str]):
    about = {"long_name": f"name of the {dim.removesuffix('_2')}"}
    return (dim,), np.array(list(texts), dtype=np.str_), about, {"_FillValue": None}


def _free_name(name, taken, *parts):
    """The name in letters, digits and _ that no other has, also before _part; now it is taken."""
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    plain = plain if plain[:1].isalpha() else f"x_{plain}".rstrip("_")
    found, number = plain, 1
    while taken & (names := {found, *(f"{found}_{part}" for part in parts)}):
        number += 1
        found = f"{plain}_{number}"
    taken |= names
    return found
