"""The task `simulate`: a model, driven by an input, through time into a file and a figure."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from experiments.cli.config import Config
from experiments.cli.pieces import build_piece
from experiments.models import at_zero_input
from experiments.plots.timeseries import TimeSeriesPlot, choose_phase_plane
from experiments.runs.interface import RunSummary, TaskEnd
from experiments.runs.precision import precision
from experiments.runs.summary import method_names
from experiments.simulate import dataset, inputs


class Prepared(NamedTuple):
    """All that a run needs, checked: a mistake is named before a directory is claimed.

    Attributes:
        initial: the initial state.
        stepper, carry, xs, length: arguments of `sim.stream.stream`.
        t0, dt: time of the initial state and length of a step, s.
        quantities: units and description of everything in the file.
        to_dataset: ``to_dataset(first, ys)``, the dataset of the records from ``first`` on.
        references: for a quantity, the name under which its measurement is written.
        phase: the two components of the phase plane in the figure, or None.
    """

    config: Config
    name: str
    initial: Any
    stepper: Any
    carry: Any
    xs: Any
    length: int
    t0: float
    dt: float
    quantities: Mapping[str, Any]
    to_dataset: Callable[[int, Any], Any]
    references: dict[str, str]
    phase: tuple[str, str] | None
    data_hash: None = None  # the input is not compared

    @property
    def attributes(self) -> dict[str, str | None]:
        """Global attributes of the file."""
        return {"model": self.name, "integrator": self.config.target("integrator")}

    @property
    def summary(self) -> RunSummary:
        """The run in words."""
        interval = f"of {self.dt:g} s"
        if self.config.substeps > 1:
            interval += f" × {self.config.substeps} substeps"
        method = method_names(self.config, "integrator")
        details = f"{interval}, {method}, {self.config.runtime.precision}"
        return RunSummary(details=details)


def prepare(config: Config) -> Prepared:
    """Build the pieces and check that they fit.

    Raises:
        ValueError: a key, a value, a name or a size is wrong.
        OSError: the record cannot be read, or its times are irregular.
    """
    with precision(config):
        from sim.models import Model

        source = inputs.read_source(config)
        model = build_piece(config, "model", (Model,))
        t0, dt, length = inputs.run_clock(config, source)
        if config.output.save_every > length:
            raise ValueError(
                f"output.save_every: expected at most {length}, the steps of the run, "
                f"got {config.output.save_every}"
            )
        u = inputs.sampled_input(config, model, source, t0, dt, length)
        if u is None and model.inputs:
            model = at_zero_input(model)
        stepper = build_piece(
            config, "integrator", given={"f": model.field, "dt": dt / config.substeps}
        )
        if config.substeps > 1:
            from sim import repeat

            stepper = stepper._replace(step=repeat(stepper.step, config.substeps))
        carry, xs = stepper.init(model.initial, t0=t0), inputs.held_input(config, u, dt, length)
        _check_step(config, stepper, carry, xs)
        reference = source.record.reference if source and source.record else {}
        measured = dataset.measured_names(model, reference, u)
        quantities = dataset.file_quantities(model, measured)
        to_dataset = dataset.dataset_builder(
            model,
            u,
            {name: reference[quantity] for quantity, name in measured.items()},
            t0=t0,
            dt=dt,
            save_every=config.output.save_every,
            quantities=quantities,
        )
        phase = None
        if config.output.phase is not None or not measured:
            phase = choose_phase_plane(config.output.phase, dataset.state_sizes(model))
        return Prepared(
            config,
            model.name,
            model.initial,
            stepper,
            carry,
            xs,
            length,
            t0,
            dt,
            quantities,
            to_dataset,
            measured,
            phase,
        )


def _check_step(config, stepper, carry, xs):
    """Raise ValueError unless the integrator can step the model, by tracing one step."""
    import jax

    try:
        jax.eval_shape(stepper.step, carry, jax.tree.map(lambda x: x[0], xs and xs(0, 1)))
    except ValueError as error:
        method = method_names(config, "integrator")
        raise ValueError(f"{method} cannot step this model: {error}") from error


def figure(prepared: Prepared) -> TimeSeriesPlot:
    """What gathers the figure while the run goes on."""
    return TimeSeriesPlot(prepared.length // prepared.config.output.save_every + 1, prepared.phase)


def run(
    prepared: Prepared,
    directory: Path,
    *,
    attributes: Mapping[str, Any],
    identity: str,
    resume: bool,
    stop: Callable[[], bool],
    watch: Callable,
    report: Callable,
) -> TaskEnd:
    """Stream the run into its file; arguments as `experiments.runs.interface.TaskModule.run`.

    Raises: as `sim.stream.stream`.
    """
    from sim import checkpoint
    from sim.netcdf import read, writer
    from sim.progress import progress
    from sim.stream import default_chunk, stream

    config, every = prepared.config, prepared.config.output.save_every
    t0, dt = prepared.t0, prepared.dt
    with precision(config), ExitStack() as stack:
        chunk = config.output.chunk or default_chunk(
            prepared.stepper.step,
            prepared.carry,
            prepared.xs,
            length=prepared.length,
            save_every=every,
        )
        path = directory / "trajectory.nc"
        latest = directory / "checkpoints" / "latest.npz"
        flush = min(chunk // every, prepared.length // every + 1)
        stored = checkpoint.records(latest) + 1 if resume else 0
        if stored == 1:  # killed during the first append: the file has no record to continue
            path.unlink(missing_ok=True)
            stored = 0
        for start in range(0, stored, flush):
            watch(start, read(path, slice(start, min(start + flush, stored))))
        append = stack.enter_context(
            writer(path, flush=flush, attributes=attributes, resume=stored > 0)
        )
        bar = stack.enter_context(progress(dt=dt, t0=t0, title=prepared.name))

        def write_records(first, ys):
            records = prepared.to_dataset(first, ys)
            append(first, records)
            watch(first, records)

        def report_status(status):
            report(status)
            bar(status)

        if not stored:
            write_records(0, dataset.initial_row(prepared.initial))
        streamed = stream(
            prepared.stepper.step,
            prepared.carry,
            prepared.xs,
            length=prepared.length,
            chunk=chunk,
            save_every=every,
            t0=t0,
            dt=dt,
            checkpoint=latest,
            resume=resume,
            identity=identity,
            stop=stop,
            report=report_status,
            sink=lambda first, ys: write_records(first + 1, ys),
        )
        return TaskEnd(streamed.finished)
