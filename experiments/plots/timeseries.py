"""The figure of a run of any length, gathered while the run goes on.

In a long run each pixel column shows the range of its records, so that a fast oscillation
stays a band and no peak is lost. Memory does not grow with the run.
"""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cli.messages import suggest

MAX_BINS = 1500  # a few for each pixel column
PHASE_POINTS = 20_000  # the last records, drawn in the phase plane
MAX_LINES = 4  # components drawn as lines; a quantity with more is drawn as a map
MAX_MAP_ROWS = 256


def choose_phase_plane(
    chosen: tuple[str, ...] | None, sizes: dict[str, int]
) -> tuple[str, str] | None:
    """The two components of the phase plane, or None if there is no obvious pair.

    Args:
        chosen: two states or components such as ``position[0]``; None chooses the first and
            the last of two or three scalar states, or both components of the first state.
        sizes: for each state, its number of components.

    Raises:
        ValueError: there is no such state or component.

    >>> choose_phase_plane(None, {"x": 1, "y": 1, "z": 1})
    ('x', 'z')
    >>> choose_phase_plane(None, {"position": 2, "velocity": 2})
    ('position[0]', 'position[1]')
    """
    if chosen is None:
        names = list(sizes)
        if 2 <= len(names) <= 3 and set(sizes.values()) == {1}:
            return names[0], names[-1]
        return (f"{names[0]}[0]", f"{names[0]}[1]") if sizes[names[0]] == 2 else None
    if len(chosen) != 2:
        raise ValueError(f"output.phase: expected two names, got {list(chosen)}")
    for name in chosen:
        state, index = _component(name)
        if state not in sizes:
            raise ValueError(f"output.phase: no state {name!r}; {suggest(name, sizes)}")
        if not index < sizes[state]:
            raise ValueError(
                f"output.phase: {state} has {sizes[state]} components, counted from 0; got {name!r}"
            )
    return chosen


def _component(name):
    match = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", name)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


class TimeSeriesPlot:
    """Gathers the range of every quantity in bins of time, and the points of the phase plane.

    Args:
        records: the records of the run, which share at most `MAX_BINS` bins.
        phase: the two components of the phase plane, or None.
    """

    def __init__(self, records: int, phase: tuple[str, str] | None):
        self.records_per_bin = math.ceil(records / MAX_BINS)
        self.bins = math.ceil(records / self.records_per_bin)
        self.phase = phase
        self.low, self.high, self.attributes = {}, {}, {}
        self.tail = np.empty((0, 2))

    def add(self, first: int, dataset: Any) -> None:
        """Gather the records ``first``, ``first + 1``, … of the run."""
        count = dataset.sizes["time"]
        bins = (first + np.arange(count)) // self.records_per_bin
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        for name, variable in dataset.variables.items():
            if variable.dims[:1] != ("time",):
                continue
            values = variable.values.reshape(count, -1)
            if values.shape[1] > MAX_MAP_ROWS:
                rows = np.linspace(0, values.shape[1] - 1, MAX_MAP_ROWS)
                values = values[:, rows.round().astype(int)]
            if name not in self.low:
                self.attributes[name] = {**variable.attrs, "size": math.prod(variable.shape[1:])}
                self.low[name] = np.full((self.bins, values.shape[1]), np.nan)
                self.high[name] = self.low[name].copy()
            for bounds, extreme in ((self.low, np.fmin), (self.high, np.fmax)):
                part = extreme.reduceat(values, starts)
                bounds[name][bins[starts]] = extreme(bounds[name][bins[starts]], part)
        if self.phase:
            pair = [_component(name) for name in self.phase]
            last = min(count, PHASE_POINTS)
            points = [dataset[name].values[-last:].reshape(last, -1)[:, i] for name, i in pair]
            self.tail = np.concatenate([self.tail, np.stack(points, axis=1)])[-PHASE_POINTS:]

    def draw(self, path: Path, title: str) -> None:
        """Write the figure: a panel for each quantity over time, and the phase plane.

        The suffix of the path gives the format.
        """
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib.figure import Figure

        panels = self._panels()
        phase = self.phase
        rows = len(panels)
        height = max(2.2 + 1.55 * rows, 4.2 if phase else 0)
        figure = Figure(figsize=(11 if phase else 8.5, height), dpi=130, layout="constrained")
        figure.suptitle(title, fontweight="bold")
        grid = figure.add_gridspec(rows, 2 if phase else 1, width_ratios=[1.5, 1] if phase else [1])
        axes = None
        for row, names in enumerate(panels):
            axes = figure.add_subplot(grid[row, 0], sharex=axes)
            self._draw_panel(figure, axes, names)
            axes.tick_params(labelbottom=row == rows - 1)
            if row == rows - 1:
                axes.set_xlabel("time (s)")
        figure.align_ylabels()
        if phase:
            self._draw_plane(figure.add_subplot(grid[:, 1]), phase)
        figure.savefig(path)

    def _panels(self) -> list[list[str]]:
        """The names in each panel: a quantity, with its measurement if it has one."""
        names = [n for n in self.low if n != "time"]
        measurements = {n: f"{n}_measured" for n in names if f"{n}_measured" in names}
        return [
            [n, measurements[n]] if n in measurements else [n]
            for n in names
            if n not in measurements.values()
        ]

    def _draw_panel(self, figure, axes, names):
        name = names[0]
        low, high = self.low[name], self.high[name]
        filled = np.isfinite(self.low["time"][:, 0])
        start, end = self.low["time"][filled, 0], self.high["time"][filled, 0]
        low, high = low[filled], high[filled]
        if low.shape[1] > MAX_LINES:
            self._draw_map(figure, axes, name, start, end, low, high)
            return
        for i in reversed(range(low.shape[1])):
            label = f"{name}[{i}]" if low.shape[1] > 1 else "simulated" if names[1:] else None
            draw_range(
                axes, start, end, low[:, i], high[:, i], color=f"C{i}", label=label, zorder=3
            )
        for measurement in names[1:]:
            draw_range(
                axes,
                start,
                end,
                self.low[measurement][filled, 0],
                self.high[measurement][filled, 0],
                color="0.35",
                label="measured",
                zorder=2,
            )
        if low.shape[1] > 1 or names[1:]:
            handles, labels = axes.get_legend_handles_labels()
            order = np.argsort(labels) if not names[1:] else range(len(labels))
            axes.legend(
                [handles[i] for i in order],
                [labels[i] for i in order],
                loc="lower right",
                bbox_to_anchor=(1, 1),
                ncols=len(labels),
                fontsize="small",
                frameon=False,
                borderpad=0,
            )
        axes.set_ylabel(self.label(name))
        axes.grid(alpha=0.25)
        axes.margins(x=0)

    def _draw_map(self, figure, axes, name, start, end, low, high):
        middle = 0.5 * (low + high)
        finite = middle[np.isfinite(middle)]
        # The few strongest values may saturate, so that a pulse that fades stays visible.
        limit = np.quantile(np.abs(finite), 0.995) or 1.0 if len(finite) else 1.0
        width = 0.0 if end[-1] != start[0] else 1.0  # a run that ended at its first record
        extent = (start[0], end[-1] + width, -0.5, self.attributes[name]["size"] - 0.5)
        image = axes.imshow(
            middle.T,
            aspect="auto",
            origin="lower",
            extent=extent,
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
        )
        figure.colorbar(image, ax=axes, label=self.label(name), pad=0.01, extend="both")
        axes.set_ylabel("index")

    def _draw_plane(self, axes, phase):
        x, y = self.tail.T
        axes.plot(x, y, lw=0.7, alpha=0.85, color="C0")
        axes.plot(x[-1:], y[-1:], "o", ms=4, color="C3")
        names = [name.partition("[")[0] for name in phase]
        axes.set_xlabel(self.label(names[0], phase[0]))
        axes.set_ylabel(self.label(names[1], phase[1]))
        if names[0] == names[1]:
            axes.set_aspect("equal", adjustable="datalim")
        axes.locator_params(axis="x", nbins=6)
        axes.grid(alpha=0.25)

    def label(self, name: str, shown: str | None = None) -> str:
        """The label of an axis: the quantity, or the component ``shown``, with its units."""
        return axis_label(shown or name, self.attributes[name].get("units", "1"))


def axis_label(name: str, units: str) -> str:
    """A name with its units, in one line or, if it is long, in two.

    >>> axis_label("angular_velocity", "rad s-1")
    'angular velocity\\n(rad s-1)'
    >>> axis_label("x", "1")
    'x'
    """
    name = name.replace("_", " ")
    if units == "1":
        return name
    return f"{name}\n({units})" if len(name) > 12 else f"{name} ({units})"


def draw_range(axes, start, end, low, high, **style):
    """Draw a line through the lowest and the highest value of each bin, as a dense trace would."""
    t = np.stack([start, end], axis=1).ravel()
    values = np.stack([low, high], axis=1).ravel()
    axes.plot(t, values, lw=0.9, **style)
