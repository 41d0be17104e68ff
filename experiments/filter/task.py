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
    """All that a run needs, checked: a mistake is named before a directory is claimed.

    Attributes:
        data: the signals, an `xarray.Dataset` along ``time``.
        arguments: arguments of `filters.iir.dataarray.filter_dataarray` after the signal.
        sos: second-order sections (S, 6).
        fs, units: sampling rate, and the units of it and of the cutoff.
        description: the filter in one line.
        length, t0, dt, time_units: samples, time of the first, interval, and their units.
        quantities: units and description of each signal.
        references: empty: nothing is scored.
    """

    config: Config
    name: str
    data: Any
    arguments: Mapping[str, Any]
    sos: np.ndarray
    fs: float
    units: str
    description: str
    length: int
    t0: float
    dt: float
    time_units: str
    quantities: Mapping[str, tuple[str, str]]
    references: Mapping[str, str]
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
            rows=(("filter", self.description),),
            separate_compile=False,
        )


def prepare(config: Config) -> Prepared:
    """Read the record, design the filter and check that they fit.

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
    data = _signal_dataset(source.y[: len(time)], time, source.units, quantities)
    with precision(config):
        from filters.iir.dataarray import sampling_rate, sections
        from filters.iir.numeric import ArgumentError

        fs, units = sampling_rate(data["time"])
        try:
            sos = sections(design, fs, units=units, **settings)
        except ArgumentError as error:
            key = "design" if error.name == "design" else f"design.{error.name}"
            raise ValueError(f"{key}: {error.reason}") from error
        except ValueError as error:
            raise ValueError(f"design.{error}") from error
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
    """The function that designs, and its arguments other than the sampling rate."""
    design = resolve("design._target_", config.target("design"), config.allow)
    settings = {
        key: value for key, value in config.groups["design"].items() if not key.startswith("_")
    }
    if "cutoff" not in settings:
        raise ValueError("design.cutoff: expected a number, got nothing")
    settings["cutoff"] = convert("design.cutoff", float | tuple[float, ...], settings["cutoff"])
    return design, settings


def _output_names(count):
    """Names, units and descriptions for the columns of a record that has none."""
    names = ["y"] if count == 1 else [f"y{i + 1}" for i in range(count)]
    return {name: ("1", name) for name in names}


def _signal_dataset(y, time, units, quantities):
    from sim.trajectory import trajectory

    names = list(quantities)
    reserved = {"time", *(f"{name}_filtered" for name in names)}
    for i, name in enumerate(names):
        if name in reserved or "/" in name:
            raise ValueError(
                f"input.columns[{i}]: expected the name of a signal, other than 'time' and "
                f"without '/', got {name!r}"
            )
    signals = dict(zip(names, y.T, strict=True))
    dataset = trajectory(signals, dt=1.0, first=0, quantities=quantities)
    return with_time(dataset, time, units)[names]


def _check_length(config, path, signal, sos):
    """Raise unless the signal can be filtered: its gaps, its length and the sections fit."""
    import jax

    from filters.iir import sosfilt, sosfiltfilt
    from filters.iir.dataarray import fill_gaps
    from filters.iir.numeric import ArgumentError

    run = sosfiltfilt if config.keys.zero_phase else sosfilt
    try:
        values = fill_gaps(signal, gap=config.keys.gap)
    except ValueError as error:
        raise OSError(f"input.path: {path}: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # unstable poles are refused
            jax.eval_shape(lambda x: run(sos, x), values)
    except UserWarning as warning:
        raise ValueError(f"design: {warning}") from None
    except ArgumentError as error:  # the sections do not suit the filter
        raise ValueError(f"design: {error}") from error
    except ValueError as error:
        raise ValueError(f"input: {path}: {error}") from error


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
    """Filter, and write the file; arguments as `experiments.runs.interface.TaskModule.run`."""
    from filters.iir.dataarray import filter_dataarray
    from sim.stream import Status

    config, data = prepared.config, prepared.data.copy()
    start = clock.perf_counter()
    with precision(config):
        for name, signal in prepared.data.items():
            y = filter_dataarray(signal, **prepared.arguments)
            y.attrs["long_name"] = f"{y.attrs['long_name']}, filtered"
            y.encoding["_FillValue"] = np.nan
            data[f"{name}_filtered"] = y
    seconds = clock.perf_counter() - start
    thinned = data.isel(time=slice(None, None, config.output.save_every))
    dataset_file.write_dataset(directory / "trajectory.nc", thinned, attributes)
    watch(0, data)
    report(Status("done", prepared.length, prepared.length, 0, 0.0, seconds))
    rms = {
        name: float(np.sqrt(np.nanmean(np.square(v.values, dtype=float))))
        for name, v in data.items()
        if np.isfinite(v.values).any()
    }
    return TaskEnd(True, {"rms": rms})
