"""The task `filter`: a signal filter over the columns of a record, into a file and a figure."""

import time as clock
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.cli.config import Config
from experiments.cli.instantiate import convert
from experiments.cli.targets import resolve
from experiments.estimate.dataset import with_time
from experiments.filter.figure import FilterPlot
from experiments.records import dataset_file, time_axis
from experiments.runs.interface import RunSummary, TaskEnd
from experiments.runs.precision import precision
from experiments.runs.summary import method_names


class Prepared(NamedTuple):
    """All that a run needs, checked: what is wrong is said before a directory is claimed.

    Attributes:
        data: the signals, an `xarray.Dataset` along ``time``.
        arguments: of `filters.iir.dataarray.filtered`, beside the signal.
        sos, fs, units: the sections, the sampling rate, and its units and the cutoff's.
        words: the filter in one line.
        measured: nothing is scored.
    """

    config: Config
    name: str
    data: Any
    arguments: Mapping[str, Any]
    sos: np.ndarray
    fs: float
    units: str
    words: str
    length: int
    t0: float
    dt: float
    time_units: str
    quantities: Mapping[str, tuple[str, str]]
    measured: Mapping[str, str]
    data_hash: None = None  # a filter is not resumed

    @property
    def attributes(self) -> dict[str, str | None]:
        """Global attributes of the file."""
        return {"design": self.config.target("design")}

    @property
    def summary(self) -> RunSummary:
        """The run in words."""
        method, kind = method_names(self.config, "design"), self.config.runtime.precision
        return RunSummary(
            unit=("sample", "samples"),
            details=f"of {self.dt:g} {self.time_units}, {method}, {kind}",
            rows=(("filter", self.words),),
            separate_compile=False,
        )


def prepare(config: Config) -> Prepared:
    """Read the record, design the filter and hold them against each other.

    Raises:
        ValueError: a key, a value, a name or a size is wrong.
        OSError: the record cannot be read, its times are irregular, or it has gaps.
    """
    if config.substeps != 1:
        raise ValueError(f"substeps: expected 1 in a filter, got {config.substeps}")
    design, settings = _build_design(config)
    source = time_axis.read_observations(config)
    time, dt = time_axis.select_times(config, source)
    quantities = source.quantities or _output_names(source.y.shape[1])
    if len(quantities) != source.y.shape[1]:
        raise ValueError(
            f"input.columns: expected each column once, got {config.groups['input']['columns']}"
        )
    data = _filtered_dataset(source.y[: len(time)], time, source.units, quantities)
    with precision(config):
        from filters.iir.dataarray import sampling_rate, sections

        fs, units = sampling_rate(data["time"])
        try:
            sos = sections(design, fs, units=units, **settings)
        except ValueError as error:
            dot = "" if str(error).startswith("design:") else "design."
            raise ValueError(f"{dot}{error}") from error
        for signal in data.values():
            _check_length(config, source.path, signal, sos)
    name = "record" if source.path == "input.values" else Path(source.path).stem
    arguments = {
        "design": design,
        **settings,
        "zero_phase": config.keys.zero_phase,
        "gap": config.keys.gap,
    }
    return Prepared(
        config,
        f"{name}, filtered",
        data,
        arguments,
        sos,
        fs,
        units,
        _describe_design(design, settings, fs, units, config),
        len(time),
        float(time[0]),
        dt,
        source.units,
        quantities,
        {},
    )


def _build_design(config):
    """The function that designs, and what it is given beside the sampling rate."""
    design = resolve("design._target_", config.target("design"), config.allow)
    settings = {
        key: value for key, value in config.groups["design"].items() if not key.startswith("_")
    }
    if "cutoff" not in settings:
        raise ValueError("design.cutoff: expected a number, got nothing")
    settings["cutoff"] = convert("design.cutoff", float | tuple[float, ...], settings["cutoff"])
    return design, settings


def _output_names(count):
    """Names for the columns of a record that has none."""
    names = ["y"] if count == 1 else [f"y{i + 1}" for i in range(count)]
    return {name: ("1", name) for name in names}


def _filtered_dataset(y, time, units, quantities):
    from sim.trajectory import trajectory

    names = list(quantities)
    taken = {"time", *(f"{name}_filtered" for name in names)}
    for i, name in enumerate(names):
        if name in taken or "/" in name:
            raise ValueError(
                f"input.columns[{i}]: expected the name of a signal, other than 'time' and "
                f"without '/', got {name!r}"
            )
    found = trajectory(dict(zip(names, y.T, strict=True)), dt=1.0, first=0, quantities=quantities)
    return with_time(found, time, units)[names]


def _check_length(config, path, signal, sos):
    """What is wrong with a signal, before a run is claimed."""
    import jax

    from filters.iir import sosfilt, sosfiltfilt
    from filters.iir.dataarray import fill_gaps

    run = sosfiltfilt if config.keys.zero_phase else sosfilt
    try:
        values = fill_gaps(signal, gap=config.keys.gap)
    except ValueError as error:
        raise OSError(f"input.path: {path}: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of unstable poles: no record is worth it
            jax.eval_shape(lambda x: run(sos, x), values)
    except UserWarning as warning:
        raise ValueError(f"design: {warning}") from None
    except ValueError as error:
        place = "design" if str(error).startswith("sos:") else f"input: {path}"
        raise ValueError(f"{place}: {error}") from error


def _describe_design(design, settings, fs, units, config):
    settings = {key: value for key, value in settings.items() if value is not None}
    cutoff = " and ".join(f"{edge:g}" for edge in np.atleast_1d(settings.pop("cutoff")))
    rest = "".join(f", {key} {value}" for key, value in settings.items())
    phase = "zero phase" if config.keys.zero_phase else "causal"
    return f"{design.__name__}{rest}, cutoff {cutoff} {units}, sampled at {fs:g} {units}, {phase}"


def figure(prepared: Prepared) -> FilterPlot:
    """What gathers the figure."""
    return FilterPlot(prepared)


def run(
    prepared: Prepared,
    directory: Path,
    *,
    attributes: Mapping[str, Any],
    watch: Callable,
    report: Callable,
    **_: Any,
) -> TaskEnd:
    """Filter into ``directory``; see `experiments.simulate.task.run` for the arguments."""
    from filters.iir.dataarray import filtered
    from sim.stream import Status

    config, data = prepared.config, prepared.data.copy()
    began = clock.perf_counter()
    with precision(config):
        for name, signal in prepared.data.items():
            y = filtered(signal, **prepared.arguments)
            y.attrs["long_name"] = f"{y.attrs['long_name']}, filtered"
            y.encoding["_FillValue"] = np.nan
            data[f"{name}_filtered"] = y
    seconds = clock.perf_counter() - began
    kept = data.isel(time=slice(None, None, config.output.save_every))
    dataset_file.write_dataset(directory / "trajectory.nc", kept, attributes)
    watch(0, data)
    report(Status("done", prepared.length, prepared.length, 0, 0.0, seconds))
    rms = {
        name: float(np.sqrt(np.nanmean(np.square(v.values, dtype=float))))
        for name, v in data.items()
        if np.isfinite(v.values).any()
    }
    return TaskEnd(True, {"rms": rms})
