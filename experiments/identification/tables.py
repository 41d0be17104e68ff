"""The tables and the verdict of a fit, and the summary that is printed at its end."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.identification.fit_report import FitReport

SCORE_TITLES = {
    "rmse": "RMSE",
    "nrmse": "NRMSE",
    "fit_percent": "FIT (%)",
    "vaf": "VAF (%)",
    "r_squared": "R²",
    "aic": "AIC",
    "bic": "BIC",
}
Table = list[list[str]]  # the first row holds the names of the columns


def format_with_error(value: float, error: float) -> tuple[str, str]:
    """A value to the digits that its standard error leaves it, and the error to two digits.

    >>> format_with_error(12.34567, 0.0123), format_with_error(100234.0, 123.0)
    (('12.346', '0.012'), ('100230', '120'))
    >>> format_with_error(-1.2e-7, 0.03)
    ('0.000', '0.030')
    >>> format_with_error(0.5, 2.6e-17), format_with_error(0.0, 2.6e-17)
    (('0.5', '2.6e-17'), ('0.0e+00', '2.6e-17'))
    >>> format_with_error(2.0, float("nan")), format_with_error(2.0, float("inf"))
    (('2', ''), ('2', 'not determined'))
    """
    if not (math.isfinite(value) and 0 < error < math.inf):
        return f"{value:.6g}", "not determined" if error == math.inf else "0" if error == 0 else ""
    place = 1 - math.floor(math.log10(float(f"{error:.1e}")))  # decimals of its second digit
    size = max(abs(value), error)
    if error < 1e-10 * size:  # the record has no noise
        return f"{value:.10g}", f"{error:.1e}"
    if 1e-4 <= size < 1e7:
        value, error = (f"{round(x, place) + 0.0:.{max(place, 0)}f}" for x in (value, error))
        return value, error
    count = max(math.floor(math.log10(size)) + place, 1)
    return f"{value:.{count}e}", f"{error:.1e}"


def parameter_table(report: FitReport) -> Table:
    """Each parameter with its standard error, 95 % interval, units and start."""
    rows = [["parameter", "value", "± standard error", "95 % interval", "units", "start"]]
    columns = (report.value, report.standard_error, report.lower, report.upper, report.start)
    for name, units, *numbers in zip(report.names, report.units, *columns, strict=True):
        value, error, lower, upper, start = (float(x) for x in numbers)
        value_text, error_text = format_with_error(value, error)
        interval = ""
        if math.isnan(error):
            error_text = "at its bound" if name in report.at_bound else "fixed"
        elif math.isfinite(error) and math.isfinite(lower) and math.isfinite(upper):
            interval = _format_interval(lower, upper, error)
        if error_text[:1].isdigit():
            error_text = f"± {error_text}"
        units = "" if units == "1" else units
        rows.append([name, value_text, error_text, interval, units, f"{start:.6g}"])
    if len(report.profile):
        bounds = zip(report.profile, report.standard_error, strict=True)
        profiles = [_format_interval(*map(float, pair), float(error)) for pair, error in bounds]
        column = ["by profile", *profiles]
        rows = [[*row[:4], text, *row[4:]] for row, text in zip(rows, column, strict=True)]
    return rows


def _format_interval(lower, upper, error):
    """An interval as text, whose ends may be infinite; empty where there is none.

    >>> _format_interval(1.234, 5.678, 0.1), _format_interval(-math.inf, 5.678, 0.1)
    ('1.23 to 5.68', '-inf to 5.68')
    >>> _format_interval(math.nan, math.nan, 0.1)
    ''
    >>> _format_interval(0.0123, 51.6, 1.2)   # an end near 0 keeps two digits
    '0.012 to 51.6'
    """
    if math.isnan(lower):
        return ""
    return " to ".join(
        format_with_error(end, min(error, abs(end) or error))[0] for end in (lower, upper)
    )


def network_table(report: FitReport) -> Table:
    """The parts of a network and their counts of numbers; empty without a network."""
    rows = [[name, str(size)] for name, size in report.weights.items()]
    return [["part", "numbers"], *rows, ["all", str(sum(report.weights.values()))]] if rows else []


def score_table(report: FitReport) -> Table:
    """The scores of each experiment and output; empty where there are none."""
    columns = list(dict.fromkeys(name for trace in report.traces for name in trace.scores))
    rows = [["experiment", "output", *(SCORE_TITLES.get(name, name) for name in columns)]]
    for trace in report.traces:
        outputs = dict.fromkeys(out for values in trace.scores.values() for out in values)
        for output in outputs:
            values = [_format_score(trace, name, output) for name in columns]
            rows.append([trace.name, output, *values])
    return rows if len(rows) > 1 else []


def published_table(report: FitReport) -> Table:
    """The scores of this fit and the published ones; empty where there are none."""
    columns = list(dict.fromkeys(name for _, row in report.published for name in row))
    rows = [["method", *columns]]
    for method, row in report.published:
        rows.append([method, *(f"{row[c]:.4g}" if c in row else "" for c in columns)])
    return rows if len(rows) > 1 else []


def _format_score(trace, name, output):
    if output not in trace.scores.get(name, {}):
        return ""
    units = trace.units.get(output, "1") if name == "rmse" else "1"
    return f"{trace.scores[name][output]:.4g}" + ("" if units == "1" else f" {units}")


def residual_verdict(report: FitReport) -> str:
    """Whether the residual passes its tests at 5 %; empty where it was not tested."""
    failing = [f"{name}, p {p:.2g}" for name, (*_, p) in report.tests.items() if p < 0.05]
    if len(failing) > 3:
        failing[2:] = [f"{len(failing) - 2} more tests"]
    if failing:
        return f"the residual still holds structure ({'; '.join(failing)})"
    return "the residual passes its tests at 5 %" if report.tests else ""


def fit_verdict(report: FitReport) -> str:
    """One sentence: the count of parameters, the first scores, and the tests of the residual."""
    estimated = int(np.sum(~np.isnan(report.standard_error)))
    size = sum(report.weights.values())
    parts = [f"a network of {size} parameters trained"] if size else []
    if report.names or not parts:
        parts.append(f"{estimated} of {len(report.names)} parameters estimated")
    scores = []
    for trace in report.traces:
        for name, outputs in list(trace.scores.items())[:1]:
            values = ", ".join(f"{o} {_format_score(trace, name, o)}" for o in outputs)
            scores.append(f"{SCORE_TITLES.get(name, name)} {values} on {trace.name}")
    return "; ".join(filter(None, [*parts, *scores[:4], residual_verdict(report)]))


def progress_sentence(report: FitReport) -> str:
    """The first and the last loss, and the seconds of each phase."""
    loss = np.asarray(report.loss)
    parts = []
    if len(loss):
        steps = len(loss) - 1
        plural = "" if steps == 1 else "s"
        parts.append(f"loss {loss[0]:.4g} to {loss[-1]:.4g} in {steps} iteration{plural}")
    validation = np.asarray(report.validation)
    if np.isfinite(validation).any():
        parts.append(
            f"validation {validation[0]:.4g} to its least, {np.nanmin(validation):.4g}, in "
            f"iteration {np.nanargmin(validation)}"
        )
    parts += [f"{phase} {seconds:.2f} s" for phase, seconds in report.seconds.items()]
    return ", ".join(parts)


def print_fit(report: FitReport, files: Mapping[str, Path]) -> None:
    """Print the summary, with the size of each of ``files`` by its name: report, file, …"""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(report.title, style="bold"))
    parameters = parameter_table(report) if report.names else []
    for table in (parameters, score_table(report), published_table(report)):
        for i, line in enumerate(_align_columns(table)):
            console.print(Text(f"  {line}", style="" if i else "cyan"))
        if table:
            console.print()
    size = sum(report.weights.values())
    rows = [("trained", f"a network of {size} parameters" if size else "")]
    rows += [("finding", sentence) for sentence in report.sentences]
    rows += [("tests", residual_verdict(report)), ("time", progress_sentence(report))]
    rows += [
        (name, f"{path}  ({_file_size(path)})") for name, path in files.items() if path.exists()
    ]
    for name, text in rows:
        if text:
            console.print(Text(f"  {name:<7} ", style="cyan").append(text, style="default"))


def _align_columns(rows: Sequence[Sequence[str]]):
    """Lines whose columns are as wide as their widest entry is on a terminal."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text + " " * (w - cell_len(text)) for text, w in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _file_size(path):
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
