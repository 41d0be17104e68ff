"""The report of a fit: one HTML file that needs no network, for screen, dark screen and paper."""

import io
import re
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from experiments import fit_summary
from experiments.fitted import ExperimentTrace, FitReport

ZOOM = 300  # samples around the largest residual
TRACES = 12  # experiments that are drawn; the others are only in the tables
POINTS = 7000  # minima and maxima of a line, all panels of the report together
INK = "#010203"  # becomes the colour of the text, in a light and in a dark page
MEASURED, SIMULATED, RESIDUAL = "#8c8c8c", "#2f7fd0", "#cc5b2b"  # seen on white and on black

HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ margin-bottom: .2rem; }} h2 {{ margin: 2.2rem 0 .6rem; }}
.verdict {{ font-size: 1.1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin-bottom: 1rem; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: .3rem; }}
th, td {{ text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #8886; }}
tbody th {{ font-weight: normal; }} tr.ours > * {{ font-weight: 600; }}
figure {{ margin: 1rem 0; }} figcaption {{ font-size: .9rem; }}
svg {{ max-width: 100%; height: auto; }}
pre {{ overflow-x: auto; }}
@media print {{
  body {{ font-size: 10pt; max-width: none; margin: 0; }}
  figure, tr {{ break-inside: avoid; }} h2 {{ break-after: avoid; }}
  .wide, pre {{ overflow: visible; white-space: pre-wrap; }}
  details::details-content {{ content-visibility: visible; block-size: auto; }}
  summary {{ display: none; }}
}}
</style>
</head>
<body>
<main>
"""


def write_report(path: Path, fitted: FitReport, config_yaml: str) -> None:
    """Write the report.

    A line of more samples than pixels is drawn by the least and the greatest of each of
    its parts, so that no peak is lost and the file stays small.

    Args:
        path: the file, replaced where it is there.
        fitted: what to tell.
        config_yaml: the configuration, folded away at the end.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_text("\n".join(_report_page(fitted, config_yaml)), encoding="utf-8")


def _report_page(fitted, config_yaml):
    yield HEAD.format(title=escape(fitted.title))
    yield f"<h1>{escape(fitted.title)}</h1>"
    yield f'<p class="verdict">{escape(fit_summary.fit_verdict(fitted))}.</p>'
    if fitted.said:
        yield "<h2>Findings</h2>\n<ul>"
        yield from (f"<li>{escape(text)}</li>" for text in fitted.said)
        yield "</ul>"
    published, scores = fit_summary.published_table(fitted), fit_summary.score_table(fitted)
    if published or scores:
        yield "<h2>Scores</h2>"
        yield _html_table("This fit beside those published", published, "this fit")
        yield _html_table("By experiment and output", scores)
    if fitted.names:
        yield "<h2>Parameters</h2>"
        yield _html_table("", fit_summary.parameter_table(fitted))
    if fitted.weights:
        yield "<h2>Network</h2>"
        yield _html_table("", fit_summary.network_table(fitted))
    yield "<h2>Data and simulation</h2>"
    shown = fitted.traces[:TRACES]
    panels = sum(2 * len(trace.measured) + len(trace.inputs) for trace in shown)
    bins = min(800, max(100, POINTS // max(panels, 1)))
    for i, trace in enumerate(shown):
        yield _svg_figure(draw_trace(trace, bins), _trace_caption(trace), f"records{i}")
    if len(fitted.traces) > TRACES:
        yield f"<p>{len(fitted.traces) - TRACES} more experiments are in the file of the fit.</p>"
    if fitted.tests:
        yield "<h2>Tests of the residual</h2>"
        words = "Correlation of the residual over the lag, with the bounds that it should keep to."
        yield _svg_figure(_draw_correlations(fitted.tests), words, "tests")
    if len(fitted.loss):
        yield "<h2>Loss</h2>"
        yield _svg_figure(
            _draw_loss(fitted.loss, fitted.validation),
            f"{fit_summary.progress_sentence(fitted)}.",
            "loss",
        )
    yield "<h2>Configuration</h2>\n<details><summary>Show</summary>"
    yield f"<pre>{escape(config_yaml)}</pre>\n</details>\n</main>\n</body>\n</html>\n"


def _html_table(caption: str, rows: Sequence[Sequence[str]], ours: str = ""):
    """A table whose first row and column are its heads; nothing without rows."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in rows[0])
    body = []
    for first, *rest in rows[1:]:
        mark = ' class="ours"' if first == ours else ""
        cells = "".join(f"<td>{escape(text)}</td>" for text in rest)
        body.append(f'<tr{mark}><th scope="row">{escape(first)}</th>{cells}</tr>')
    caption = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    return (
        f'<div class="wide"><table>\n{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(body)
        + "\n</tbody>\n</table></div>"
    )


def _trace_caption(trace):
    count = len(trace.time)
    words = f"{trace.name}: {count:,} samples"
    if count > 2 * ZOOM:
        words += f"; on the right the {ZOOM} around the largest residual"
    return words + ("; band: 95 % of the simulation." if trace.band else ".")


def _svg_figure(figure, caption: str, salt: str) -> str:
    """The drawing inline, in the colours of the page, with texts that can be selected."""
    import matplotlib

    text = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": salt}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the browser has fonts of its own
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)  # of one kind in every figure: none is referred to
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    return f"<figure>\n{svg}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"


def _blank_figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _style_axes(axes):
    axes.tick_params(which="both", colors=INK, labelsize="small")
    axes.spines[:].set_color(INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=INK, alpha=0.12)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.yaxis.offsetText):
        text.set_color(INK)


def draw_trace(trace: ExperimentTrace, bins: int):
    """Inputs, then each output and below it its residual; whole, and a part of it."""
    rows = [(0.8, "input", name) for name in trace.inputs]
    for name in trace.measured:
        rows += [(1.7, "output", name), (0.9, "residual", name)]
    parts = [slice(None)] + ([_worst_part(trace)] if len(trace.time) > 2 * ZOOM else [])
    figure = _blank_figure(10, 0.6 + 1.1 * sum(height for height, *_ in rows))
    grid = figure.subplots(
        len(rows),
        len(parts),
        sharex="col",
        squeeze=False,
        gridspec_kw={
            "height_ratios": [height for height, *_ in rows],
            "width_ratios": [1.6, 1][: len(parts)],
        },
    )
    for axes, part in zip(grid.T, parts, strict=True):
        for one, (_, kind, name) in zip(axes, rows, strict=True):
            _draw_panel(one, trace, kind, name, part, bins)
            one.margins(x=0)
            _style_axes(one)
        axes[-1].set_xlabel("time (s)")
    for one, (_, kind, name) in zip(grid[:, 0], rows, strict=True):
        units = trace.units.get(name, "1")
        words = "residual" if kind == "residual" else name
        one.set_ylabel(words if units == "1" else f"{words} ({units})", parse_math=False)
    figure.align_ylabels(grid[:, 0])
    return figure


def _worst_part(trace):
    """The part around the largest residual."""
    worst = np.zeros(len(trace.time))
    for name, measured in trace.measured.items():
        size = np.abs(
            np.nan_to_num(measured - trace.simulated[name], nan=0.0, posinf=0.0, neginf=0.0)
        )
        worst = np.maximum(worst, size / (size.max() or 1.0))
    middle = int(worst.argmax())
    first = min(max(middle - ZOOM // 2, 0), len(trace.time) - ZOOM)
    return slice(first, first + ZOOM)


def _draw_panel(axes, trace, kind, name, part, bins):
    time = trace.time[part]
    if kind == "input":
        _draw_line(axes, time, trace.inputs[name][part], bins, color=INK, lw=0.7)
        return
    measured, simulated = trace.measured[name][part], trace.simulated[name][part]
    half = 1.96 * trace.band[name][part] if name in trace.band else None
    if kind == "residual":
        axes.axhline(0, color=INK, lw=0.5)
        _draw_line(axes, time, measured - simulated, bins, color=RESIDUAL, lw=0.8)
    else:
        few = {"marker": ".", "ms": 3.5} if len(time) <= ZOOM else {}
        _draw_line(axes, time, measured, bins, color=MEASURED, lw=1.6, label="measured", **few)
        _draw_line(axes, time, simulated, bins, color=SIMULATED, lw=0.9, label="simulated")
        if half is not None:
            x, low, _ = bin_ranges(time, simulated - half, bins)
            _, _, high = bin_ranges(time, simulated + half, bins)
            axes.fill_between(x, low, high, color=SIMULATED, alpha=0.25, lw=0)
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 0.98),
            ncols=2,
            fontsize="small",
            frameon=False,
            borderpad=0,
            labelcolor=INK,
        )


def bin_ranges(time: np.ndarray, values: np.ndarray, bins: int):
    """The middle time, the least and the greatest value of each of at most ``bins`` parts.

    >>> bin_ranges(np.arange(4.0), np.array([1.0, np.nan, -3.0, 2.0]), 2)
    (array([0.5, 2.5]), array([ 1., -3.]), array([1., 2.]))
    """
    per = -(-len(time) // bins)
    starts = np.arange(0, len(time), per)
    ends = np.minimum(starts + per, len(time)) - 1
    low, high = (extreme.reduceat(values, starts) for extreme in (np.fmin, np.fmax))
    return 0.5 * (time[starts] + time[ends]), low, high


def _draw_line(axes, time, values, bins, **style):
    """All samples where they are few, else the range of each part, up and down once."""
    if len(time) > 2 * bins:
        middle, low, high = bin_ranges(time, values, bins)
        time, values = np.repeat(middle, 2), np.stack([low, high], axis=1).ravel()
    axes.plot(time, values, **style)


def _draw_correlations(tests):
    columns = min(len(tests), 2)
    rows = -(-len(tests) // columns)
    figure = _blank_figure(10 if columns > 1 else 6, 2.2 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, (lags, correlation, bound, p)) in zip(grid, tests.items(), strict=False):
        lags, correlation = np.asarray(lags), np.asarray(correlation)
        limit = np.broadcast_to(bound, lags.shape)
        axes.fill_between(lags, -limit, limit, color=SIMULATED, alpha=0.25, lw=0)
        itself = (lags == 0) & (correlation > 1 - 1e-9)  # it would hide the others
        inside = np.abs(correlation) <= limit
        for which, color in ((inside, SIMULATED), (~inside & ~itself, RESIDUAL)):
            axes.vlines(lags[which], 0, correlation[which], color=color, lw=1.4)
        axes.axhline(0, color=INK, lw=0.5)
        axes.set_title(
            f"{name}, p = {p:.2g}", fontsize="medium", loc="left", color=INK, parse_math=False
        )
        axes.set_xlabel("lag (samples)")
        _style_axes(axes)
    for axes in grid[len(tests) :]:
        axes.set_visible(False)
    return figure


def _draw_loss(loss, validation):
    figure = _blank_figure(6, 2.4)
    axes = figure.subplots()
    lines = [("training", np.asarray(loss), SIMULATED)]
    lines += [("validation", np.asarray(validation), RESIDUAL)] if len(validation) else []
    for name, values, color in lines:
        axes.plot(
            np.arange(len(values)),
            values,
            color=color,
            marker="." if len(values) < 100 else "",
            lw=1.2,
            label=name,
        )
    if len(lines) > 1:
        axes.legend(fontsize="small", frameon=False, labelcolor=INK)
    finite = np.concatenate([values[np.isfinite(values)] for _, values, _ in lines])
    if len(finite) and finite.min() > 0:
        axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("iteration")
    axes.set_ylabel("loss")
    _style_axes(axes)
    return figure
