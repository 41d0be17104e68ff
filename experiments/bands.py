"""The figure of an estimate: means with their 95 % bands, and the observations as dots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

POINTS = 4000  # a few to the pixel column: of a longer record, evenly chosen ones
WIDTH = 1.959964  # standard deviations of a 95 % band


class Bands:
    """Draws a record that `filters.dataset.dataset` labelled, with all its parts.

    An observation that is of a state itself is ``shown`` in that state's panel.
    """

    def __init__(self, states: Mapping[str, Any], observed: Mapping[str, Any],
                 shown: Mapping[str, str], units: str):
        self.states, self.observed, self.shown, self.units = states, observed, shown, units
        self.data = None

    def add(self, first: int, dataset: Any) -> None:
        """Take the whole record."""
        self.data = dataset.isel(time=slice(None, None, -(-dataset.sizes["time"] // POINTS)))

    def draw(self, path: Path, title: str) -> None:
        """Write the figure: a panel for each state, and one for each observation."""
        if self.data is None:
            return
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib.figure import Figure

        names = [*self.states, *(n for n in self.observed if n not in self.shown.values())]
        figure = Figure(figsize=(10, 1.6 + 1.75 * len(names)), dpi=130, layout="constrained")
        figure.suptitle(title, fontweight="bold")
        grid = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for name, axes in zip(names, grid, strict=True):
            (self._state if name in self.states else self._observation)(axes, name)
            axes.grid(alpha=0.25)
            axes.margins(x=0.01)
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, fontsize="small",
                        frameon=False, borderpad=0)
        grid[-1].set_xlabel(f"time ({self.units})")
        figure.align_ylabels()
        figure.savefig(path)

    def _state(self, axes, name):
        time, data = self.data["time"].values, self.data
        best = "smoothed" if f"{name}_smoothed" in data else "filtered"
        mean = data[f"{name}_{best}"].values
        _band(axes, time, mean, data[f"{name}_{best}_sd"].values, "C0", best)
        if best == "smoothed":
            axes.plot(time, data[f"{name}_filtered"], lw=0.8, color="C1", label="filtered", zorder=2)
        if f"{name}_true" in data:
            axes.plot(time, data[f"{name}_true"], "--", lw=1, color="0.2", label="true", zorder=4)
        dots = data[self.shown[name]].values if name in self.shown else mean
        if name in self.shown:
            axes.plot(time, dots, ".", ms=3, color="0.25", label="observed", zorder=2.5)
        _limits(axes, mean, dots)
        axes.set_ylabel(_label(name, self.states[name][0]))

    def _observation(self, axes, name):
        """What the filter expected to see a step before, and what it saw."""
        time, y = self.data["time"].values, self.data[name].values
        innovation = self.data[f"{name}_innovation"].values
        seen = np.isfinite(y)
        axes.plot(time[seen], y[seen], ".", ms=3, color="0.25", label="observed", zorder=4)
        known = np.isfinite(innovation)
        sd = self.data[f"{name}_innovation_sd"].values
        _band(axes, time[known], (y - innovation)[known], sd[known], "C2", "predicted")
        _limits(axes, y)
        axes.set_ylabel(_label(name, self.observed[name][0]))


def _band(axes, time, mean, sd, color, label):
    axes.fill_between(time, mean - WIDTH * sd, mean + WIDTH * sd, color=color, alpha=0.25, lw=0,
                      label="95 %", zorder=1)
    axes.plot(time, mean, lw=1.2, color=color, label=label, zorder=3)


def _limits(axes, *values):
    """Show these whole; a wide band at an uncertain start may leave the panel."""
    values = np.concatenate(values)
    values = values[np.isfinite(values)]
    if len(values) and values.max() > values.min():
        margin = 0.15 * (values.max() - values.min())
        axes.set_ylim(values.min() - margin, values.max() + margin)


def _label(name, units):
    name = name.replace("_", " ")
    if units == "1":
        return name
    return f"{name}\n({units})" if len(name) > 12 else f"{name} ({units})"
