"""The figure of a filtered record: each signal before and after, and the response of the filter."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots.timeseries import TimeSeriesPlot, draw_range

FLOOR = -120.0  # dB, the lowest gain that is drawn
FREQUENCIES = 2000


class FilterPlot:
    """Gathers the signals as `TimeSeriesPlot` does, so that a long record shows every peak."""

    def __init__(self, prepared: Any):
        self.prepared, self.plot = prepared, TimeSeriesPlot(prepared.length, None)

    def add(self, first: int, dataset: Any) -> None:
        """Gather the signals before and after the filter, from sample ``first`` on."""
        self.plot.add(first, dataset)

    def draw(self, path: Path, title: str) -> None:
        """Write the figure: a panel for each signal, and the gain. The suffix gives the format."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib.figure import Figure

        names = list(self.prepared.data)
        height = 2.0 + 1.9 * len(names) + 2.0
        figure = Figure(figsize=(10, height), dpi=130, layout="constrained")
        figure.suptitle(title, fontweight="bold")
        grid = figure.add_gridspec(len(names) + 1, 1, height_ratios=[1.9] * len(names) + [2.0])
        axes = None
        for row, name in enumerate(names):
            axes = figure.add_subplot(grid[row], sharex=axes)
            self._draw_signal(axes, name)
            axes.tick_params(labelbottom=row == len(names) - 1)
        axes.set_xlabel(f"time ({self.prepared.time_units})")
        self._draw_response(figure.add_subplot(grid[-1]))
        figure.align_ylabels()
        figure.savefig(path)

    def _draw_signal(self, axes, name):
        low, high = self.plot.low, self.plot.high
        filled = np.isfinite(low["time"][:, 0])
        start, end = low["time"][filled, 0], high["time"][filled, 0]
        for key, label, color in ((name, "before", "0.6"), (f"{name}_filtered", "after", "C0")):
            draw_range(
                axes,
                start,
                end,
                low[key][filled, 0],
                high[key][filled, 0],
                color=color,
                label=label,
            )
        axes.set_ylabel(self.plot.label(name))
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=2,
            fontsize="small",
            frameon=False,
            borderpad=0,
        )
        axes.grid(alpha=0.25)
        axes.margins(x=0)

    def _draw_response(self, axes):
        edges = np.atleast_1d(self.prepared.arguments["cutoff"])
        frequency, gain = gain_response(
            self.prepared.sos, self.prepared.fs, min(edges), self.prepared.config.keys.zero_phase
        )
        axes.semilogx(frequency, gain, color="C0", lw=1.2)
        for edge in edges:
            axes.axvline(edge, color="C3", lw=0.9, ls="--")
        axes.set_ylim(max(gain.min(), FLOOR) - 3, gain.max() + 6)
        axes.margins(x=0)
        axes.set_xlabel(f"frequency ({self.prepared.units})")
        axes.set_ylabel("gain (dB)")
        axes.set_title(self.prepared.description, fontsize="small", loc="left")
        axes.grid(alpha=0.25, which="both")


def gain_response(
    sos: np.ndarray, fs: float, cutoff: float, zero_phase: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies from far below the cutoff to fs/2, evenly spaced in logarithm, and gains in dB.

    >>> frequency, gain = gain_response(np.array([[0.5, 0.5, 0.0, 1.0, 0.0, 0.0]]), 2.0, 0.1, False)
    >>> float(frequency[-1]), bool(abs(gain[0]) < 1e-2)
    (1.0, True)
    """
    from filters.iir.response import freqz_sos

    frequency = np.geomspace(min(fs / 1000, cutoff / 30), fs / 2, FREQUENCIES)
    gain = np.abs(np.asarray(freqz_sos(sos, worN=frequency, fs=fs)[1]))
    decibels = 20 * np.log10(np.maximum(gain, 10.0 ** (2 * FLOOR / 20)))
    return frequency, decibels * (2 if zero_phase else 1)
