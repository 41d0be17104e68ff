"""The task `simulate`: a model, driven by an input, through time into a file and a figure."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import record as recorded
from experiments.build import build, nearest, resolve
from experiments.config import Config, steps
from experiments.figure import phase_plane

HOLDS = ("zero_order", "first_order", "cubic", "band_limited")


class Prepared(NamedTuple):
    """All that a run needs, checked: what is wrong is said before a directory is claimed.

    Attributes:
        stepper, carry, xs, length: what `sim.stream.stream` takes.
        dt: sample interval, s, the time of one step.
        quantities: units and words of everything in the file.
        signals: named samples (length + 1, ...) that are written beside the states.
        output: ``output(t, y, u)`` over a batch of records, or None.
        u: the samples of the input (length + 1, ...), or None.
        measured: for a quantity, the name under which its measurement is written.
        phase: the two components of the phase plane in the figure, or None.
    """

    config: Config
    name: str
    initial: Any
    stepper: Any
    carry: Any
    xs: Any
    length: int
    dt: float
    quantities: Mapping[str, Any]
    signals: dict[str, np.ndarray]
    output: Callable | None
    u: np.ndarray | None
    measured: dict[str, str]
    phase: tuple[str, str] | None


def prepare(config: Config) -> Prepared:
    """Build the pieces and hold them against each other.

    Raises:
        ValueError: a key, a value, a name or a size is wrong.
        OSError: the record cannot be read, or its times are irregular.
    """
    settings = dict(config.input)
    hold = settings.pop("hold", "zero_order")
    if hold not in HOLDS:
        raise ValueError(f"input.hold: expected one of {', '.join(HOLDS)}, got {hold!r}; "
                         f"{nearest(hold, HOLDS)}")
    source = record = None
    if settings["_target_"] is not None and settings["_target_"].startswith("experiments."):
        record = build(resolve("input._target_", settings["_target_"]), settings, "input")

    with precision(config):
        if record is None and settings["_target_"] is not None:
            source = resolve("input._target_", settings["_target_"], config.allow)
        model = _piece(config, "model")
        dt, length = _clock(config, record)
        u = _samples(config, model, source, record, settings, dt, length)
        if u is None and model.inputs:
            model = _undriven(model)
        given = {"f": model.field, "dt": dt / config.substeps}
        stepper = _piece(config, "integrator", given)
        if config.substeps > 1:
            from sim import repeat

            stepper = stepper._replace(step=repeat(stepper.step, config.substeps))
        carry, xs = stepper.init(model.initial, t0=config.t0), _pieces(hold, u, dt)
        _traceable(config, stepper, carry, xs)
        return Prepared(
            config, model.name, model.initial, stepper, carry, xs, length, dt,
            *_names(model, u, record, length), u, _measured(record),
            None if record and record.reference else _phase(config, model),
        )


@contextmanager
def precision(config: Config) -> Iterator[None]:
    """The context in which a run computes: its precision, on its platform.

    The flag is set for the process, not for the thread as `jax.enable_x64` does it:
    compiled programs called ahead of time read the process's one.
    """
    import jax

    if config.runtime.platform is not None:
        jax.config.update("jax_platforms", config.runtime.platform)
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", config.runtime.precision == "float64")
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def _piece(config, group, given=None):
    settings = getattr(config, group)
    factory = resolve(f"{group}._target_", settings["_target_"], config.allow)
    return build(factory, settings, group, given)


def _undriven(model):
    """The model at zero input."""
    from jax.tree_util import Partial

    count = len(model.inputs)
    zero = np.zeros(count if count > 1 else ())
    return model._replace(
        field=Partial(_at_zero, model.field, zero), inputs=(),
        output=model.output and Partial(_at_zero, model.output, zero),
    )


def _at_zero(function, zero, t, y, u):
    import jax
    import jax.numpy as jnp

    return function(t, y, jnp.asarray(zero, jnp.result_type(*jax.tree.leaves(y))))


def _traceable(config, stepper, carry, xs):
    """Trace one step, so that pieces that do not fit are named before a run is claimed."""
    import jax

    try:
        jax.eval_shape(stepper.step, carry, jax.tree.map(lambda x: x[0], xs))
    except ValueError as error:
        method = config.integrator["_target_"].rpartition(".")[2]
        raise ValueError(f"{method} cannot step this model: {error}") from error


def _clock(config, record):
    """dt, and the number of steps."""
    if record is None:
        return config.dt, steps(config.duration, config.dt)
    dt = recorded.interval(record, config.dt)
    if dt < 0:
        raise ValueError(f"dt: expected a positive number of s, as the input is recorded, got {dt:g}")
    have = len(record.u) - 1
    if have < 1:
        raise OSError(f"input.path: {record.path}: expected at least 2 samples, got {have + 1}")
    if config.duration is None:
        return dt, have
    wanted = steps(config.duration, dt)
    if wanted > have:
        raise ValueError(f"duration: expected at most {have * dt:g}, the length of {record.path} in s, "
                         f"got {config.duration:g}")
    return dt, wanted


def _samples(config, model, source, record, settings, dt, length):
    """The input at t0 + k·dt, k = 0, …, length: (length + 1,) or (length + 1, inputs)."""
    if source is None and record is None:
        return None
    if not model.inputs:
        raise ValueError(f"input: expected none, because {model.name} takes no input, "
                         f"got {settings['_target_']}")
    if record is not None:
        u = record.u[: length + 1]
    else:
        order = slice(None, None, 1 if dt > 0 else -1)  # a generator wants increasing times
        t = (config.t0 + dt * np.arange(length + 1))[order]
        u = build(source, settings, "input", _supplied(source, t, abs(dt), config.seed))
        u = np.asarray(u)[order]
        u = u[:, None] if u.ndim == 1 else u
    count = len(model.inputs)
    if u.shape != (length + 1, count):
        name = "input.columns" if record is not None else "input"
        raise ValueError(f"{name}: expected {count} for {model.name} ({', '.join(model.inputs)}), "
                         f"got {u.shape[-1]}")
    if not np.isfinite(u).all():
        raise ValueError(f"input: expected finite samples, got {u[~np.isfinite(u)][0]}")
    return u[:, 0] if count == 1 else u


def _supplied(source, t, dt, seed):
    """Of what a generator may ask for, what this one does."""
    import inspect

    import jax

    asked = inspect.signature(source).parameters
    known = {"t": lambda: t, "dt": lambda: dt, "length": lambda: len(t), "seed": lambda: seed,
             "key": lambda: jax.random.key(seed)}
    return {name: make() for name, make in known.items() if name in asked}


def _pieces(hold, u, dt):
    if u is None:
        return None
    from jax.numpy import result_type

    from sim import inputs

    hold = {"zero_order": inputs.zero_order_hold, "first_order": inputs.first_order_hold,
            "cubic": inputs.cubic, "band_limited": inputs.band_limited}[hold]
    axis = abs(dt) * np.arange(len(u))  # in the order of the run, backwards in time or not
    try:
        return hold(axis, u.astype(result_type(float)))
    except ValueError as error:
        raise ValueError(f"input.hold: {error}") from error


def _names(model, u, record, length):
    """Quantities, the signals written beside the states, and the output as a batch."""
    from jax import jit, vmap

    from sim.models import Quantity
    from sim.names import leaf_names

    quantities, signals = dict(model.quantities), {}
    if u is not None:
        columns = u[:, None] if u.ndim == 1 else u
        signals = dict(zip(model.inputs, columns.T, strict=True))
    known = [name for name in quantities if name not in model.inputs] or leaf_names(model.initial)
    for quantity, column in (record.reference if record else {}).items():
        if quantity not in known:
            raise ValueError(f"input.reference.{quantity}: {model.name} has no such quantity; "
                             f"{nearest(quantity, known)}")
        units, words = quantities.get(quantity, Quantity("1", quantity))
        name = _measured(record)[quantity]
        quantities[name] = Quantity(units, f"measured {words}")
        signals[name] = column[: length + 1]
    output = None
    if model.output is not None:
        output = jit(vmap(model.output, (0, 0, None if u is None else 0)))
    return quantities, signals, output


def _phase(config, model):
    import jax

    from sim.names import leaf_names

    sizes = [np.size(leaf) for leaf in jax.tree.leaves(model.initial)]
    return phase_plane(config.output.phase, dict(zip(leaf_names(model.initial), sizes, strict=True)))


def _measured(record):
    return {quantity: f"{quantity}_measured" for quantity in (record.reference if record else {})}


def run(prepared: Prepared, directory: Path, *, attributes: Mapping[str, Any], identity: str,
        resume: bool, stop: Callable[[], bool], watch: Callable, report: Callable) -> Any:
    """Stream the run into ``directory``; what `sim.stream.stream` returns or raises.

    Args:
        attributes: global attributes of the file.
        identity: the hash of the configuration, kept in the checkpoint.
        resume: go on from the checkpoint.
        stop: asked after every chunk.
        watch: ``watch(first, dataset)`` sees every dataset that is written.
        report: sees every `sim.stream.Status`.
    """
    import jax
    import jax.numpy as jnp

    from sim.netcdf import read, writer
    from sim.progress import progress
    from sim.stream import default_chunk, stream
    from sim.trajectory import trajectory

    config, dt, every = prepared.config, prepared.dt, prepared.config.output.save_every
    with precision(config), ExitStack() as stack:
        chunk = config.output.chunk or default_chunk(
            prepared.stepper.step, prepared.carry, prepared.xs,
            length=prepared.length, save_every=every,
        )
        path = directory / "trajectory.nc"
        past = [read(path)] if resume else []
        flush = max(1, min(chunk, prepared.length) // every)
        append = stack.enter_context(
            writer(path, flush=flush, attributes=attributes, resume=resume)
        )
        bar = stack.enter_context(progress(dt=dt, t0=config.t0, title=prepared.name))
        label = partial(trajectory, dt=dt, t0=config.t0, save_every=every,
                        quantities=prepared.quantities)

        def sink(first, ys):
            while past:  # what lies beyond the checkpoint is written again
                watch(0, past.pop().isel(time=slice(first)))
            count = len(jax.tree.leaves(ys)[0])
            at = np.arange(first, first + count) * every
            extra = {name: samples[at] for name, samples in prepared.signals.items()}
            if prepared.output is not None:
                extra |= _outputs(prepared, at, ys)
            dataset = label(ys, first=first, signals=extra)
            append(first, dataset)
            watch(first, dataset)

        def tell(status):
            report(status)
            bar(status)

        if not resume:
            sink(0, jax.tree.map(lambda y: np.asarray(jnp.asarray(y))[None], prepared.initial))
        end = stream(
            prepared.stepper.step, prepared.carry, prepared.xs, length=prepared.length,
            chunk=chunk, save_every=every, t0=config.t0, dt=dt,
            checkpoint=directory / "checkpoints" / "latest.npz", resume=resume,
            identity=identity, stop=stop, report=tell,
            sink=lambda first, ys: sink(first + 1, ys),
        )
        while past:  # killed between its last checkpoint and its end
            watch(0, past.pop())
        return end


def _outputs(prepared, at, ys):
    import jax
    from jax.numpy import result_type

    from sim.names import leaf_names

    kind = np.dtype(result_type(float))
    t = (prepared.config.t0 + at * prepared.dt).astype(kind)
    u = None if prepared.u is None else prepared.u[at].astype(kind)
    found = prepared.output(t, jax.tree.map(lambda y: np.asarray(y, kind), ys), u)
    return dict(zip(leaf_names(found), map(np.asarray, jax.tree.leaves(found)), strict=True))
