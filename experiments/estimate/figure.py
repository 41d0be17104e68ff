"""The figure of an estimate: means with their 95 % bands, and the observations as dots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots.timeseries import axis_label

POINTS = 4000  # a few for each pixel column; a longer record is thinned evenly
WIDTH = 1.959964  # standard deviations of a 95 % band


class EstimatePlot:
    """Draws a dataset of `filters.dataset.dataset` with all its parts.

    Args:
        states, observed: name and `Quantity` of each component.
        shown: for a state, the observation that is drawn in its panel.
        units: units of time.
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
        """Gather the whole record (``first`` is 0), or the forecast after it."""
        stride = -(-dataset.sizes["time"] // POINTS)
        thinned = dataset.isel(time=slice(None, None, stride)).copy(deep=True)
        if first:
            self.future = thinned
        else:
            self.data = thinned

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
            if name in self.states:
                self._draw_state(axes, name)
            else:
                self._draw_observation(axes, name)
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

    def _draw_state(self, axes, name):
        time, data = self.data["time"].values, self.data
        kind = "smoothed" if f"{name}_smoothed" in data else "filtered"
        mean = data[f"{name}_{kind}"].values
        _draw_band(axes, time, mean, data[f"{name}_{kind}_sd"].values, "C0", kind)
        if kind == "smoothed":
            axes.plot(
                time, data[f"{name}_filtered"], lw=0.8, color="C1", label="filtered", zorder=2
            )
        if f"{name}_true" in data:
            axes.plot(time, data[f"{name}_true"], "--", lw=1, color="0.2", label="true", zorder=4)
        dots = data[self.shown[name]].values if name in self.shown else mean
        _set_limits(axes, mean, _without_outliers(dots), self._draw_forecast(axes, name))
        if name in self.shown:
            _draw_dots(axes, time, dots)
        axes.set_ylabel(axis_label(name, self.states[name][0]))

    def _draw_forecast(self, axes, name):
        """Draw the forecast, if there is one, and return its mean, for the limits of the panel."""
        if self.future is None:
            return np.empty(0)
        time, mean = self.future["time"].values, self.future[f"{name}_forecast"].values
        _draw_band(
            axes, time, mean, self.future[f"{name}_forecast_sd"].values, "C3", "forecast", None
        )
        return mean

    def _draw_observation(self, axes, name):
        """Draw an observation and its one-step prediction."""
        time, y = self.data["time"].values, self.data[name].values
        innovation = self.data[f"{name}_innovation"].values
        finite = np.isfinite(innovation)
        sd = self.data[f"{name}_innovation_sd"].values
        _draw_band(axes, time[finite], (y - innovation)[finite], sd[finite], "C2", "predicted")
        _set_limits(axes, _without_outliers(y), self._draw_forecast(axes, name))
        _draw_dots(axes, time, y)
        axes.set_ylabel(axis_label(name, self.observed[name][0]))


def _draw_band(axes, time, mean, sd, color, label, band_label="95 %"):
    axes.fill_between(
        time,
        mean - WIDTH * sd,
        mean + WIDTH * sd,
        color=color,
        alpha=0.25,
        lw=0,
        label=band_label,
        zorder=1,
    )
    axes.plot(time, mean, lw=1.2, color=color, label=label, zorder=3)


def _draw_dots(axes, time, y):
    """Draw the observations as dots; those outside the panel as marks on its edge."""
    low, high = axes.get_ylim()
    axes.plot(time, y, ".", ms=3, color="0.25", label="observed", zorder=2.5)
    for outside, edge, mark in ((y > high, high, "^"), (y < low, low, "v")):
        if outside.any():
            axes.plot(
                time[outside],
                np.full(outside.sum(), edge),
                mark,
                ms=6,
                color="C3",
                zorder=5,
                clip_on=False,
            )
    axes.set_ylim(low, high)


def _without_outliers(y):
    """The values without the few so far out that all others would look flat."""
    low, middle, high = np.nanquantile(y, (0.05, 0.5, 0.95)) if np.isfinite(y).any() else (0, 0, 0)
    return y[np.abs(y - middle) <= 3 * (high - low)]


def _set_limits(axes, *values):
    """Set limits that show all values; a wide band at the start may leave the panel."""
    values = np.concatenate(values)
    values = values[np.isfinite(values)]
    if len(values) and values.max() > values.min():
        margin = 0.15 * (values.max() - values.min())
        axes.set_ylim(values.min() - margin, values.max() + margin)
