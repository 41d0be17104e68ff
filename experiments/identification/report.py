"""The report of a fit: one HTML file for screens, dark ones too, and for paper.

It fetches nothing.
"""

import io
import re
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path

from experiments.identification import tables
from experiments.identification.figures import (
    INK,
    ZOOM,
    draw_correlations,
    draw_loss,
    draw_trace,
)
from experiments.identification.fit_report import FitReport

TRACES = 12  # experiments that are drawn; the tables show the others too
POINTS = 7000  # parts of lines in all panels of the report together

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
body {{ font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
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


def write_report(path: Path, report: FitReport, config_yaml: str) -> None:
    """Write the report.

    A line of many samples is drawn as the minimum and the maximum of each of its parts, so
    that every peak is seen and the file stays small.

    Args:
        path: the file, which is replaced.
        report: its content.
        config_yaml: the configuration, which the page shows at its end when asked to.

    Raises:
        OSError: the file cannot be written.
    """
    from sim.files import replace_file

    with replace_file(path) as temporary:
        temporary.write_text("\n".join(_report_page(report, config_yaml)), encoding="utf-8")


def _report_page(report, config_yaml):
    yield HEAD.format(title=escape(report.title))
    yield f"<h1>{escape(report.title)}</h1>"
    yield f'<p class="verdict">{escape(tables.fit_verdict(report))}.</p>'
    if report.findings:
        yield "<h2>Findings</h2>\n<ul>"
        yield from (f"<li>{escape(sentence)}</li>" for sentence in report.sentences)
        yield "</ul>"
    published, scores = tables.published_table(report), tables.score_table(report)
    if published or scores:
        yield "<h2>Scores</h2>"
        yield _html_table("This fit and published ones", published, "this fit")
        yield _html_table("By experiment and output", scores)
    if report.names:
        yield "<h2>Parameters</h2>"
        yield _html_table("", tables.parameter_table(report))
    if report.weights:
        yield "<h2>Network</h2>"
        yield _html_table("", tables.network_table(report))
    yield "<h2>Data and simulation</h2>"
    shown = report.traces[:TRACES]
    panels = sum(2 * len(trace.measured) + len(trace.inputs) for trace in shown)
    bins = min(800, max(100, POINTS // max(panels, 1)))
    for i, trace in enumerate(shown):
        yield svg_figure(draw_trace(trace, bins), _trace_caption(trace), f"records{i}")
    if len(report.traces) > TRACES:
        yield f"<p>{len(report.traces) - TRACES} more experiments are in the file of this fit.</p>"
    if report.tests:
        yield "<h2>Tests of the residual</h2>"
        caption = (
            "Correlations of the residual at each lag, and the bounds they should keep within."
        )
        yield svg_figure(draw_correlations(report.tests), caption, "tests")
    if len(report.loss):
        yield "<h2>Loss</h2>"
        yield svg_figure(
            draw_loss(report.loss, report.validation),
            f"{tables.progress_sentence(report)}.",
            "loss",
        )
    yield "<h2>Configuration</h2>\n<details><summary>Show</summary>"
    yield f"<pre>{escape(config_yaml)}</pre>\n</details>\n</main>\n</body>\n</html>\n"


def _html_table(caption: str, rows: Sequence[Sequence[str]], ours: str = ""):
    """A table whose first row and column are headings; empty without rows."""
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
    caption = f"{trace.name}: {count:,} samples"
    if count > 2 * ZOOM:
        caption += f"; on the right the {ZOOM} around the largest residual"
    return caption + ("; band: 95 % interval of the simulation." if trace.band else ".")


def svg_figure(figure, caption: str, salt: str) -> str:
    """The figure as inline SVG in the colours of the page; its texts can be selected."""
    import matplotlib

    text = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": salt}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the browser has other fonts
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)  # repeated in every figure, and never referred to
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    return f"<figure>\n{svg}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"
