"""What a run prints at its end: where its files are, how long it took, how good it is."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cli.config import Config
from experiments.runs.interface import Prepared


def print_summary(
    title: str,
    prepared: Prepared,
    directory: Path,
    figure: Path | None,
    status: Mapping[str, Any],
    outcome: Mapping[str, Any],
) -> None:
    """Print the title and one row for each thing that is known of the run."""
    from rich.console import Console
    from rich.text import Text

    words = prepared.summary
    count = status["step"]
    console = Console(highlight=False, soft_wrap=True)
    rows = [("run", f"{_with_commas(count)} {words.unit[count != 1]} {words.details}")]
    rows += words.rows
    rows += _file_rows(directory, figure)
    rows.append(("time", _describe_time(status, words.separate_compile)))
    metrics = outcome.get("metrics", {})
    rows += _error_rows(metrics, prepared)
    rows += _signal_rows(metrics, prepared.quantities)
    rows += _consistency_rows(metrics)
    console.print(Text(title, style="bold"))
    for name, text in rows:
        console.print(Text(f"  {name:<7}", style="cyan").append(text, style="default"))


def method_names(config: Config, *groups: str) -> str:
    """The functions that these groups name, where one is chosen: ``"kalman and huber"``."""
    targets = [config.target(group) for group in groups]
    return " and ".join(target.rpartition(".")[2] for target in targets if target)


def describe_interval(dt: float | None, time: np.ndarray, units: str = "s") -> str:
    """The time between two rows: one number, or the least and the most of an irregular axis."""
    if dt is not None:
        return f"of {dt:g} {units}"
    intervals = np.diff(time)
    return f"of {intervals.min():.4g} to {intervals.max():.4g} {units}"


def _file_rows(directory: Path, figure: Path | None) -> Iterator[tuple[str, str]]:
    for path in (directory / "trajectory.nc", directory / "forecast.nc"):
        if path.exists():
            yield "file", f"{path}  ({_file_size(path)})"
    if figure and figure.exists():
        yield "figure", str(figure)


def _describe_time(status: Mapping[str, Any], separate_compile: bool) -> str:
    run, compile_ = status["run_seconds"], status["compile_seconds"]
    if not separate_compile:
        return f"{run + compile_:.2f} s, compiling included"
    steps = status["step"] - status["resumed"]
    speed = f", {_with_commas(steps / run)} steps/s" if run else ""
    return f"compile {compile_:.2f} s, run {run:.2f} s{speed}"


def _error_rows(metrics: Mapping[str, Any], prepared: Prepared) -> Iterator[tuple[str, str]]:
    for quantity, value in metrics.get("rmse", {}).items():
        units = prepared.quantities[quantity][0] if quantity in prepared.quantities else ""
        units = "" if units == "1" else units
        yield "rmse", f"{value:.4g} {units}  ({quantity} against {prepared.references[quantity]})"


def _signal_rows(scores, quantities):
    """The root mean square of a signal before and after its filter."""
    rms = scores.get("rms", {})
    for name, value in rms.items():
        if f"{name}_filtered" in rms:
            units = "" if quantities[name][0] == "1" else f" {quantities[name][0]}"
            yield (
                "rms",
                f"{value:.4g}{units} before, {rms[f'{name}_filtered']:.4g}{units} after  ({name})",
            )


def _consistency_rows(scores):
    """The log-likelihood, and the mean NIS of each sensor with the range of a consistent one."""
    for value in scores.get("loglik", {}).values():
        yield "loglik", f"{value:.9g}"
    nis = scores.get("nis", {})
    for name, value in nis.items():
        sensor = name.removesuffix("mean")
        if name.endswith("mean"):
            low, high = nis[f"{sensor}lower"], nis[f"{sensor}upper"]
            verdict = "as it should be" if low <= value <= high else "not consistent"
            label = sensor.rstrip("_") or "mean"
            yield "nis", f"{value:.4g}  ({label}: {verdict}, {low:.4g} to {high:.4g} in 95 %)"


def _with_commas(count):
    return f"{count / 1e6:.3g} million" if count >= 1e6 else f"{count:,.0f}"


def _file_size(path):
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
