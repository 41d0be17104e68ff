"""The report of a fit: one HTML file that needs no network, for screen, dark screen and paper."""

import io
import re
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path

from experiments.identification import tables
from experiments.identification.figures import INK, ZOOM, _draw_correlations, _draw_loss, draw_trace
from experiments.identification.result_file import FitReport

TRACES = 12  # experiments that are drawn; the others are only in the tables
POINTS = 7000  # minima and maxima of a line, all panels of the report together

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
    from sim.files import replace_file

    with replace_file(path) as temporary:
        temporary.write_text("\n".join(_report_page(fitted, config_yaml)), encoding="utf-8")


def _report_page(fitted, config_yaml):
    yield HEAD.format(title=escape(fitted.title))
    yield f"<h1>{escape(fitted.title)}</h1>"
    yield f'<p class="verdict">{escape(tables.fit_verdict(fitted))}.</p>'
    if fitted.said:
        yield "<h2>Findings</h2>\n<ul>"
        yield from (f"<li>{escape(text)}</li>" for text in fitted.said)
        yield "</ul>"
    published, scores = tables.published_table(fitted), tables.score_table(fitted)
    if published or scores:
        yield "<h2>Scores</h2>"
        yield _html_table("This fit beside those published", published, "this fit")
        yield _html_table("By experiment and output", scores)
    if fitted.names:
        yield "<h2>Parameters</h2>"
        yield _html_table("", tables.parameter_table(fitted))
    if fitted.weights:
        yield "<h2>Network</h2>"
        yield _html_table("", tables.network_table(fitted))
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
            f"{tables.progress_sentence(fitted)}.",
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
