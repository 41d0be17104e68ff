"""What drives a model: a recorded input, a generated one, or none."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.cli.config import Config, count_steps
from experiments.cli.instantiate import convert, instantiate
from experiments.cli.targets import resolve
from experiments.records import columns as recorded
from experiments.records.columns import Record
from experiments.simulate import blocks
from experiments.simulate.blocks import Rows, rows_by_block, rows_in_memory
from experiments.simulate.generated_input import generate_input

# Samples on either side of a block that its pieces depend on; None is the whole record.
# The influence of a sample on a spline falls by 0.27 with each step, far below rounding here.
HOLD_REACH = {"zero_order": 0, "first_order": 0, "cubic": 128, "band_limited": None}


class InputSource(NamedTuple):
    """Where the input of a run comes from: a record, or a function of time.

    Attributes:
        name: the function that the configuration names, for messages.
        record: what it returned, a recorded input; None if it generates samples.
        generator: ``generator(t, ...)``, samples (N,) or (N, inputs) at the times t (N,) in s;
            None for a recorded input.
        settings: the other arguments of the generator.
    """

    name: str
    record: Record | None = None
    generator: Callable | None = None
    settings: Mapping[str, Any] = {}


def read_source(config: Config) -> InputSource | None:
    """The source that the group ``input`` names, its record read; None if there is no input.

    A function that takes ``t`` generates samples; any other has to return a `Record`.

    Raises:
        ValueError: the function is neither, or a key or a value is wrong.
        OSError: the record cannot be read.
    """
    settings = {key: value for key, value in config.groups["input"].items() if key != "hold"}
    _hold_name(config)
    target = config.target("input")
    if target is None:
        return None
    function = resolve("input._target_", target, config.allow)
    if "t" in inspect.signature(function).parameters:
        return InputSource(target, generator=function, settings=settings)
    record = instantiate(function, settings, "input")
    if not isinstance(record, Record):
        raise ValueError(
            "input._target_: expected a function of the times t, or one that returns an "
            f"experiments.records.columns.Record, got {target}, which returns "
            f"{type(record).__name__}"
        )
    return InputSource(target, record)


def run_clock(config: Config, source: InputSource | None) -> tuple[float, float, int]:
    """t0, dt, and the number of steps: from the record, if there is one, and the configuration.

    Raises:
        ValueError: dt or duration disagrees with the record.
        OSError: the times of the record are irregular.
    """
    record = source.record if source else None
    if record is None:
        return config.t0 or 0.0, config.dt, count_steps(config.duration, config.dt)
    dt = recorded.sample_interval_of(record, config.dt)
    if dt < 0:
        raise ValueError(f"dt: expected a positive number of s for a recorded input, got {dt:g}")
    first = 0.0 if record.time is None else float(record.time[0])
    t0 = first if config.t0 is None else config.t0
    available = len(record.u) - 1
    steps = available if config.duration is None else count_steps(config.duration, dt)
    if steps > available:
        raise ValueError(
            f"duration: expected at most {available * dt:g}, the length of {record.path} "
            f"in s, got {config.duration:g}"
        )
    return t0, dt, steps


def sampled_input(
    config: Config, model: Any, source: InputSource | None, t0: float, dt: float, length: int
) -> Rows | None:
    """The input as ``u(k)``, the samples at t0 + k·dt for a range of indices k in 0, …, length.

    Args:
        config: the run.
        model: a `sim.models.Model`.
        source: as `read_source` returns it.
        t0, dt, length: as `run_clock` returns them.

    Returns:
        u, whose results are (n,) for one input, else (n, inputs); None without an input.

    Raises:
        ValueError: the model takes no input or another number, or a sample is not finite.
    """
    if source is None:
        return None
    if not model.inputs:
        raise ValueError(
            f"input: expected none, because {model.name} takes no input, got {source.name}"
        )
    count = len(model.inputs)
    key = "input" if source.record is None else "input.columns"

    def shape(u):
        if u.shape[1:] != (count,):
            raise ValueError(
                f"{key}: expected {count} for {model.name} "
                f"({', '.join(model.inputs)}), got {u.shape[-1]}"
            )
        if not np.isfinite(u).all():
            raise ValueError(f"input: expected finite samples, got {u[~np.isfinite(u)][0]}")
        return u[:, 0] if count == 1 else u

    if source.record is not None:
        return rows_in_memory(shape(source.record.u[: length + 1]))
    return generate_input(
        source.generator, source.settings, t0, dt, length, seed=config.seed, shape=shape
    )


def held_input(config: Config, u: Rows | None, dt: float, length: int) -> Callable | None:
    """``xs(start, stop)``, the input of the steps start, …, stop − 1; None without an input.

    ``input.hold`` says what happens between two samples. The pieces are made in blocks, so that
    they do not depend on start and stop.

    Args:
        config: the run.
        u: as `sampled_input` returns it.
        dt, length: as `run_clock` returns them.
    """
    if u is None:
        return None
    import jax

    from sim import inputs

    names = {"zero_order": "zero_order_hold", "first_order": "first_order_hold"}
    name = _hold_name(config)
    hold, reach = getattr(inputs, names.get(name, name)), HOLD_REACH[name]
    block, reach = (length, 0) if reach is None else (blocks.BLOCK_SIZE, reach)
    width = block + 2 * reach  # the same at the ends: JAX compiles a spline for each length

    def make(start, stop):
        first = max(0, min(start - reach, length - width))
        last = min(first + width, length)
        samples = u(range(first, last + 1)).astype(jax.numpy.result_type(float))
        t = abs(dt) * np.arange(len(samples))  # in the order of the run, even backwards in time
        try:
            pieces = hold(t, samples)
        except ValueError as error:
            raise ValueError(f"input.hold: {error}") from error
        return jax.tree.map(lambda x: np.asarray(x)[start - first : stop - first], pieces)

    xs = rows_by_block(make, length, block=block, kept=1)
    return lambda start, stop: xs(range(start, stop))


def _hold_name(config):
    return convert(
        "input.hold", Literal[tuple(HOLD_REACH)], config.groups["input"].get("hold", "zero_order")
    )
