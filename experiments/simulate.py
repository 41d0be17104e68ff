"""The task `simulate`: a model, driven by an input, through time into a file and a figure."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import drive
from experiments.build import build, nearest
from experiments.config import Config
from experiments.figure import Picture, phase_plane
from experiments.target import resolve


class Prepared(NamedTuple):
    """All that a run needs, checked: what is wrong is said before a directory is claimed.

    Attributes:
        stepper, carry, xs, length: what `sim.stream.stream` takes.
        t0, dt: time of the initial state and of one step, s.
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
    t0: float
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
    record = drive.record(config)
    with precision(config):
        model = _piece(config, "model")
        if not hasattr(model, "field") or not hasattr(model, "initial"):
            raise ValueError(f"model._target_: expected a function that returns a sim.models.Model, "
                             f"got {type(model).__name__} from {config.model['_target_']}")
        t0, dt, length = drive.clock(config, record)
        if config.output.save_every > length:
            raise ValueError(f"output.save_every: expected at most {length}, the steps of the run, "
                             f"got {config.output.save_every}")
        u = drive.samples(config, model, record, t0, dt, length)
        if u is None and model.inputs:
            model = drive.at_rest(model)
        stepper = _piece(config, "integrator", {"f": model.field, "dt": dt / config.substeps})
        if config.substeps > 1:
            from sim import repeat

            stepper = stepper._replace(step=repeat(stepper.step, config.substeps))
        carry, xs = stepper.init(model.initial, t0=t0), drive.pieces(config, u, dt)
        _traceable(config, stepper, carry, xs)
        sizes = _sizes(model, u)
        measured = _measured(model, record, sizes)
        quantities, signals = _signals(model, u, record, measured, length)
        return Prepared(
            config, model.name, model.initial, stepper, carry, xs, length, t0, dt, quantities,
            signals, _batched(model.output, u), u, measured,
            None if measured and config.output.phase is None else
            phase_plane(config.output.phase, _state_sizes(model)),
        )


@contextmanager
def precision(config: Config) -> Iterator[None]:
    """The context in which a run computes: its precision, on its platform.

    The flag is set for the process, not for the thread as `jax.enable_x64` does it:
    compiled programs called ahead of time read the process's one.
    """
    import jax

    import sim  # noqa: F401  (its XLA flag must be set before JAX makes its first array)

    if config.runtime.platform is not None:
        platforms = jax.config.jax_platforms
        jax.config.update("jax_platforms", config.runtime.platform)
        try:
            jax.devices(config.runtime.platform)
        except RuntimeError:
            jax.config.update("jax_platforms", platforms)
            raise ValueError(f"runtime.platform: JAX finds no {config.runtime.platform} here; "
                             "null takes what there is") from None
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


def _traceable(config, stepper, carry, xs):
    """Trace one step, so that pieces that do not fit are named before a run is claimed."""
    import jax

    try:
        jax.eval_shape(stepper.step, carry, jax.tree.map(lambda x: x[0], xs))
    except ValueError as error:
        method = config.integrator["_target_"].rpartition(".")[2]
        raise ValueError(f"{method} cannot step this model: {error}") from error


def _state_sizes(model) -> dict[str, int]:
    import jax

    from sim.names import leaf_names

    sizes = map(np.size, jax.tree.leaves(model.initial))
    return dict(zip(leaf_names(model.initial), sizes, strict=True))


def _sizes(model, u) -> dict[str, int]:
    """Components of every quantity that the run computes: states and outputs."""
    import jax

    from sim.names import leaf_names

    if model.output is None:
        return _state_sizes(model)
    y = jax.tree.map(jax.numpy.asarray, model.initial)
    found = jax.eval_shape(model.output, 0.0, y, None if u is None else u[0])
    sizes = [leaf.size for leaf in jax.tree.leaves(found)]
    return _state_sizes(model) | dict(zip(leaf_names(found), sizes, strict=True))


def _measured(model, record, sizes) -> dict[str, str]:
    for quantity in record.reference if record else ():
        if quantity not in sizes:
            raise ValueError(f"input.reference.{quantity}: {model.name} has no such quantity; "
                             f"{nearest(quantity, sizes)}")
        if sizes[quantity] != 1:
            raise ValueError(f"input.reference.{quantity}: expected a quantity of one component, "
                             f"got {sizes[quantity]}")
    return {quantity: f"{quantity}_measured" for quantity in (record.reference if record else ())}


def _signals(model, u, record, measured, length):
    """Quantities, and the samples written beside the states."""
    from sim.models import Quantity

    quantities, signals = dict(model.quantities), {}
    if u is not None:
        signals = dict(zip(model.inputs, u.reshape(length + 1, -1).T, strict=True))
    for quantity, name in measured.items():
        units, words = quantities.get(quantity, Quantity("1", quantity))
        quantities[name] = Quantity(units, f"measured {words}")
        signals[name] = record.reference[quantity][: length + 1]
    return quantities, signals


def _batched(output, u):
    from jax import jit, vmap

    return output and jit(vmap(output, (0, 0, None if u is None else 0)))


def picture(prepared: Prepared) -> Picture:
    """What gathers the figure while the run goes on."""
    return Picture(prepared.length // prepared.config.output.save_every + 1, prepared.phase)


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

    from sim import checkpoint
    from sim.netcdf import read, writer
    from sim.progress import progress
    from sim.stream import default_chunk, stream
    from sim.trajectory import trajectory

    config, every = prepared.config, prepared.config.output.save_every
    t0, dt = prepared.t0, prepared.dt
    with precision(config), ExitStack() as stack:
        chunk = config.output.chunk or default_chunk(
            prepared.stepper.step, prepared.carry, prepared.xs,
            length=prepared.length, save_every=every,
        )
        path = directory / "trajectory.nc"
        latest = directory / "checkpoints" / "latest.npz"
        flush = min(chunk // every, prepared.length // every + 1)
        kept = checkpoint.records(latest) + 1 if resume else 0
        if kept == 1:  # killed in its first append: the file has nothing to go on with
            path.unlink(missing_ok=True)
            kept = 0
        for at in range(0, kept, flush):
            watch(at, read(path, slice(at, min(at + flush, kept))))
        append = stack.enter_context(
            writer(path, flush=flush, attributes=attributes, resume=kept > 0)
        )
        bar = stack.enter_context(progress(dt=dt, t0=t0, title=prepared.name))
        label = partial(trajectory, dt=dt, t0=t0, save_every=every,
                        quantities=prepared.quantities)

        def sink(first, ys):
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

        if not kept:
            sink(0, jax.tree.map(_one_record, prepared.initial))
        return stream(
            prepared.stepper.step, prepared.carry, prepared.xs, length=prepared.length,
            chunk=chunk, save_every=every, t0=t0, dt=dt,
            checkpoint=latest, resume=resume,
            identity=identity, stop=stop, report=tell,
            sink=lambda first, ys: sink(first + 1, ys),
        )


def _one_record(y):
    """A state as the steps will give it: whole numbers become floats."""
    import jax.numpy as jnp

    return np.asarray(jnp.asarray(y, jnp.result_type(y, float)))[None]


def _outputs(prepared, at, ys):
    import jax
    from jax.numpy import result_type

    from sim.names import leaf_names

    kind = np.dtype(result_type(float))
    t = (prepared.t0 + at * prepared.dt).astype(kind)
    u = None if prepared.u is None else prepared.u[at].astype(kind)
    found = prepared.output(t, jax.tree.map(lambda y: np.asarray(y, kind), ys), u)
    return dict(zip(leaf_names(found), map(np.asarray, jax.tree.leaves(found)), strict=True))
