"""The files of a fit or a training, its figure, and the summary that it prints."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.identification.fit_report import ExperimentTrace, FitReport


class TracePlot:
    """The figure of the first experiment, drawn when the search has ended."""

    def __init__(self):
        self.trace: ExperimentTrace | None = None

    def add(self, first: int, report: FitReport) -> None:
        """Take the first experiment of a report."""
        self.trace = report.traces[0]

    def draw(self, path: Path, title: str) -> None:
        """Write the figure, in the format of the suffix of ``path``."""
        from experiments.identification.figures import draw_trace

        if self.trace is not None:
            figure = draw_trace(self.trace, 1500)
            figure.suptitle(f"{title}: {self.trace.name}", parse_math=False)
            figure.savefig(path, dpi=150)


def write_results(
    directory: Path, name: str, report: FitReport, attributes: Mapping[str, Any]
) -> None:
    """Write ``name``.nc and ``report.html`` into a run's directory."""
    from experiments.identification.report import write_report
    from experiments.identification.result_file import write_fit

    write_fit(directory / f"{name}.nc", report, attributes)
    write_report(directory / "report.html", report, attributes["config"])


def rmse_scores(report: FitReport) -> dict[str, Mapping[str, float]]:
    """The root mean square errors of each experiment, as a run keeps them."""
    return {f"rmse {trace.name}": dict(trace.scores["rmse"]) for trace in report.traces}


def summary_printer(directory: Path, report: FitReport, files: Mapping[str, str]) -> Callable:
    """A function that prints the summary, and the files that were written, by what they hold."""

    def show():
        from experiments.identification.tables import print_fit

        print_fit(report, {name: directory / file for name, file in files.items()})

    return show
