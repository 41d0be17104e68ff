"""Figures of the report: records and their simulations, residual tests, losses."""

from collections.abc import Mapping

import numpy as np

from experiments.identification.fit_report import ExperimentTrace

ZOOM = 300  # samples around the largest residual
INK = "#010203"  # the report replaces it by the colour of its text
MEASURED, SIMULATED, RESIDUAL = "#8c8c8c", "#2f7fd0", "#cc5b2b"  # visible on white and black


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
    """Inputs, then each output and its residual: the whole record, and a part of a long one."""
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
        for panel, (_, kind, name) in zip(axes, rows, strict=True):
            _draw_panel(panel, trace, kind, name, part, bins)
            panel.margins(x=0)
            _style_axes(panel)
        axes[-1].set_xlabel("time (s)")
    for panel, (_, kind, name) in zip(grid[:, 0], rows, strict=True):
        units = trace.units.get(name, "1")
        label = "residual" if kind == "residual" else name
        panel.set_ylabel(label if units == "1" else f"{label} ({units})", parse_math=False)
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
    """The middle time, the minimum and the maximum of each of at most ``bins`` parts.

    >>> bin_ranges(np.arange(4.0), np.array([1.0, np.nan, -3.0, 2.0]), 2)
    (array([0.5, 2.5]), array([ 1., -3.]), array([1., 2.]))
    """
    per = -(-len(time) // bins)
    starts = np.arange(0, len(time), per)
    ends = np.minimum(starts + per, len(time)) - 1
    low, high = (extreme.reduceat(values, starts) for extreme in (np.fmin, np.fmax))
    return 0.5 * (time[starts] + time[ends]), low, high


def _draw_line(axes, time, values, bins, **style):
    """Draw all samples where they are few, else a line up and down the range of each part."""
    if len(time) > 2 * bins:
        middle, low, high = bin_ranges(time, values, bins)
        time, values = np.repeat(middle, 2), np.stack([low, high], axis=1).ravel()
    axes.plot(time, values, **style)


def draw_correlations(tests: Mapping[str, tuple]):
    """The correlations of each residual test; those beyond their bounds have another colour."""
    columns = min(len(tests), 2)
    rows = -(-len(tests) // columns)
    figure = _blank_figure(10 if columns > 1 else 6, 2.2 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, (lags, correlation, bound, p)) in zip(grid, tests.items(), strict=False):
        lags, correlation = np.asarray(lags), np.asarray(correlation)
        limit = np.broadcast_to(bound, lags.shape)
        axes.fill_between(lags, -limit, limit, color=SIMULATED, alpha=0.25, lw=0)
        trivial = (lags == 0) & (correlation > 1 - 1e-9)  # it would hide the others
        inside = np.abs(correlation) <= limit
        for which, color in ((inside, SIMULATED), (~inside & ~trivial, RESIDUAL)):
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


def draw_loss(loss: np.ndarray, validation: np.ndarray):
    """The loss of each iteration, and that on the validation records unless it is empty."""
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
