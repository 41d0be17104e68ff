"""The figure of an estimate: means with their 95 % bands, and the observations as dots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

POINTS = 4000  # a few to the pixel column: of a longer record, evenly chosen ones
WIDTH = 1.959964  # standard deviations of a 95 % band


class EstimatePlot:
    """Draws a record that `filters.dataset.dataset` labelled, with all its parts.

    An observation that is of a state itself is ``shown`` in that state's panel.
    """

    def __init__(
        self,
        states: Mapping[str, Any],
        observed: Mapping[str, Any],
        shown: Mapping[str, str],
        units: str,
    ):
        self.states, self.observed, self.shown, self.units = states, observed, shown, units
        self.data = self.future = None

    def add(self, first: int, dataset: Any) -> None:
        """Take the whole record, and then the forecast from its end, if there is one."""
        some = dataset.isel(time=slice(None, None, -(-dataset.sizes["time"] // POINTS))).copy(
            deep=True
        )
        if first:
            self.future = some
        else:
            self.data = some

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
            axes.legend(
                loc="lower right",
                bbox_to_anchor=(1, 1),
                ncols=8,
                fontsize="small",
                frameon=False,
                borderpad=0,
            )
        grid[-1].set_xlabel(f"time ({self.units})")
        figure.align_ylabels()
        figure.savefig(path)

    def _state(self, axes, name):
        time, data = self.data["time"].values, self.data
        best = "smoothed" if f"{name}_smoothed" in data else "filtered"
        mean = data[f"{name}_{best}"].values
        _band(axes, time, mean, data[f"{name}_{best}_sd"].values, "C0", best)
        if best == "smoothed":
            axes.plot(
                time, data[f"{name}_filtered"], lw=0.8, color="C1", label="filtered", zorder=2
            )
        if f"{name}_true" in data:
            axes.plot(time, data[f"{name}_true"], "--", lw=1, color="0.2", label="true", zorder=4)
        dots = data[self.shown[name]].values if name in self.shown else mean
        _limits(axes, mean, _usual(dots), self._ahead(axes, name))
        if name in self.shown:
            _dots(axes, time, dots)
        axes.set_ylabel(_label(name, self.states[name][0]))

    def _ahead(self, axes, name):
        """The forecast, from the end of the record on; its mean, for the limits."""
        if self.future is None:
            return np.empty(0)
        if (
            name not in self.states
            and name in self.data
            and f"{name}_observed_forecast" in self.future
        ):
            name = f"{name}_observed"
        time, mean = self.future["time"].values, self.future[f"{name}_forecast"].values
        _band(axes, time, mean, self.future[f"{name}_forecast_sd"].values, "C3", "forecast", None)
        return mean

    def _observation(self, axes, name):
        """What the filter expected to see a step before, and what it saw."""
        time, y = self.data["time"].values, self.data[name].values
        innovation = self.data[f"{name}_innovation"].values
        known = np.isfinite(innovation)
        sd = self.data[f"{name}_innovation_sd"].values
        _band(axes, time[known], (y - innovation)[known], sd[known], "C2", "predicted")
        _limits(axes, _usual(y), self._ahead(axes, name))
        _dots(axes, time, y)
        axes.set_ylabel(_label(name, self.observed[name][0]))


def _band(axes, time, mean, sd, color, label, words="95 %"):
    axes.fill_between(
        time,
        mean - WIDTH * sd,
        mean + WIDTH * sd,
        color=color,
        alpha=0.25,
        lw=0,
        label=words,
        zorder=1,
    )
    axes.plot(time, mean, lw=1.2, color=color, label=label, zorder=3)


def _dots(axes, time, y):
    """The observations; those beyond the panel as marks on its edge."""
    low, high = axes.get_ylim()
    axes.plot(time, y, ".", ms=3, color="0.25", label="observed", zorder=2.5)
    for beyond, edge, mark in ((y > high, high, "^"), (y < low, low, "v")):
        if beyond.any():
            axes.plot(
                time[beyond],
                np.full(beyond.sum(), edge),
                mark,
                ms=6,
                color="C3",
                zorder=5,
                clip_on=False,
            )
    axes.set_ylim(low, high)


def _usual(y):
    """Without the few values so far out that they would flatten all others."""
    low, middle, high = np.nanquantile(y, (0.05, 0.5, 0.95)) if np.isfinite(y).any() else (0, 0, 0)
    return y[np.abs(y - middle) <= 3 * (high - low)]


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
