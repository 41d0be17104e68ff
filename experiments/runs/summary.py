"""What a run says at its end: where things are, how long it took, how good it is."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cli.config import Config


def print_summary(
    config: Config,
    prepared: Any,
    directory: Path,
    drawn: Path | None,
    code: int,
    status: Mapping[str, Any],
    outcome: Mapping[str, Any],
) -> None:
    """Print the summary: to stdout what was done, to stderr why it ended early."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    done = status["step"] - status["resumed"]
    speed = (
        f", {_with_commas(done / status['run_seconds'])} steps/s" if status["run_seconds"] else ""
    )
    took = f"compile {status['compile_seconds']:.2f} s, run {status['run_seconds']:.2f} s{speed}"
    searched = "a fit" if config.fit else "a training" if config.learn else ""
    if config.design or searched:
        took = f"{status['run_seconds'] + status['compile_seconds'] * bool(searched):.2f} s, compiling included"
    unit = getattr(prepared, "time_units", "s")
    substeps = f" × {config.substeps} substeps" if config.substeps > 1 else ""
    path = directory / "trajectory.nc"
    further = directory / "forecast.nc"
    word = ("sample" if config.design else "step") + "s" * (status["step"] != 1)
    windows = getattr(
        getattr(prepared, "learning", None), "window", None
    )  # of which a step is a pass
    turn = ("pass", "passes") if windows else ("evaluation", "evaluations")
    told = f"{_with_commas(status['step'])} {turn[status['step'] != 1]} of {searched}, {config.runtime.precision}"
    rows = [
        (
            "run",
            told
            if searched
            else f"{_with_commas(status['step'])} {word} {_describe_interval(prepared)} {unit}{substeps}, "
            f"{_describe_method(config)}, {config.runtime.precision}",
        ),
        ("", _describe_left_out(prepared)),
        ("filter", prepared.words if config.design else None),
        ("file", f"{path}  ({_file_size(path)})" if path.exists() else None),
        ("file", f"{further}  ({_file_size(further)})" if further.exists() else None),
        ("figure", str(drawn) if drawn and drawn.exists() else None),
        ("time", took),
    ]
    for quantity, value in outcome.get("metrics", {}).get("rmse", {}).items():
        units = prepared.quantities[quantity][0] if quantity in prepared.quantities else ""
        rows.append(
            (
                "rmse",
                f"{value:.4g} {'' if units == '1' else units}  ({quantity} against "
                f"{prepared.measured[quantity]})",
            )
        )
    rows += _signal_rows(outcome.get("metrics", {}), prepared.quantities)
    rows += _consistency_rows(outcome.get("metrics", {}))
    console.print(Text(_run_title(config, prepared), style="bold"))
    for name, text in rows:
        if text:
            console.print(Text(f"  {name:<7}", style="cyan").append(text, style="default"))
    if code:
        console.file.flush()
        reason = {
            3: outcome.get("diverged", {}).get("message", ""),
            75: f"stopped at the request of the system; go on with: scansim resume={directory}",
            130: f"interrupted; go on with: scansim resume={directory}",
        }[code]
        print(f"scansim: {reason}", file=sys.stderr)


def _run_title(config, prepared):
    return config.title or prepared.name.replace("_", " ").capitalize()


def _describe_interval(prepared):
    """The time between steps: one, or the least and the most of a record's own."""
    if prepared.dt is not None:
        return f"of {prepared.dt:g}"
    dt = np.diff(prepared.time)
    return f"of {dt.min():.4g} to {dt.max():.4g}"


def _describe_left_out(prepared):
    count = getattr(prepared, "left_out", 0)
    return f"the first {count} left out: too little is observed to begin" if count else None


def _describe_method(config):
    pieces = (config.integrator or config.estimator or config.design, config.update)
    return " and ".join(p["_target_"].rpartition(".")[2] for p in pieces if p and p["_target_"])


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
    """The log-likelihood, and the mean NIS of each sensor beside what it should be."""
    for value in scores.get("loglik", {}).values():
        yield "loglik", f"{value:.9g}"
    nis = scores.get("nis", {})
    for name, value in nis.items():
        sensor = name.removesuffix("mean")
        if name.endswith("mean"):
            low, high = nis[f"{sensor}lower"], nis[f"{sensor}upper"]
            words = "as it should be" if low <= value <= high else "not consistent"
            yield (
                "nis",
                (
                    f"{value:.4g}  ({sensor.rstrip('_') or 'mean'}: {words}, "
                    f"{low:.4g} to {high:.4g} in 95 %)"
                ),
            )


def _with_commas(x):
    if x >= 1e6:
        return f"{x / 1e6:.3g} million"
    return f"{x:,.0f}"


def _file_size(path):
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
