"""What drives a model: a recorded signal, a generated one, or nothing."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from experiments.cli.config import Config, count_steps
from experiments.cli.instantiate import convert, instantiate
from experiments.cli.targets import resolve
from experiments.records import columns as recorded
from experiments.records.columns import Record
from experiments.simulate import blocks
from experiments.simulate.blocks import Rows, rows_by_block, rows_in_memory
from experiments.simulate.generated_input import generate_input

# Samples beyond either end of a block that its pieces depend on; None is all of them.
# What a sample adds to a spline falls by 0.27 for each step away, far below rounding here.
HOLD_REACH = {"zero_order": 0, "first_order": 0, "cubic": 128, "band_limited": None}


def read_record(config: Config) -> Record | None:
    """The record that is the input, or None; read without JAX."""
    settings = {key: value for key, value in config.groups["input"].items() if key != "hold"}
    _hold_name(config)
    target = config.target("input")
    if target is None or not target.startswith("experiments."):
        return None
    return instantiate(resolve("input._target_", target), settings, "input")


def run_clock(config: Config, record: Record | None) -> tuple[float, float, int]:
    """t0, dt, and the number of steps."""
    if record is None:
        return config.t0 or 0.0, config.dt, count_steps(config.duration, config.dt)
    dt = recorded.sample_interval_of(record, config.dt)
    if dt < 0:
        raise ValueError(f"dt: expected a positive number of s for a recorded input, got {dt:g}")
    first = 0.0 if record.time is None else float(record.time[0])
    t0 = first if config.t0 is None else config.t0
    have = len(record.u) - 1
    wanted = have if config.duration is None else count_steps(config.duration, dt)
    if wanted > have:
        raise ValueError(
            f"duration: expected at most {have * dt:g}, the length of {record.path} "
            f"in s, got {config.duration:g}"
        )
    return t0, dt, wanted


def sampled_input(
    config: Config, model: Any, record: Record | None, t0: float, dt: float, length: int
) -> Rows | None:
    """The input as ``u(k)``, shape (n,) or (n, inputs), at t0 + k·dt for a range of n indices
    in 0, …, length; None where there is none."""
    target = config.target("input")
    if target is None:
        return None
    if not model.inputs:
        raise ValueError(f"input: expected none, because {model.name} takes no input, got {target}")
    count = len(model.inputs)
    name = "input" if record is None else "input.columns"

    def fit(u):
        if u.shape[1:] != (count,):
            raise ValueError(
                f"{name}: expected {count} for {model.name} "
                f"({', '.join(model.inputs)}), got {u.shape[-1]}"
            )
        if not np.isfinite(u).all():
            raise ValueError(f"input: expected finite samples, got {u[~np.isfinite(u)][0]}")
        return u[:, 0] if count == 1 else u

    if record is not None:
        return rows_in_memory(fit(record.u[: length + 1]))
    return generate_input(config, t0, dt, length, fit)


def held_input(config: Config, u: Rows | None, dt: float, length: int) -> Callable | None:
    """``xs(start, stop)``, the input of those steps, held between the samples as
    ``input.hold`` says. The same for any start and stop: it is made in blocks."""
    if u is None:
        return None
    import jax

    from sim import inputs

    names = {"zero_order": "zero_order_hold", "first_order": "first_order_hold"}
    chosen = _hold_name(config)
    hold = getattr(inputs, names.get(chosen, chosen))
    block, reach = (
        (length, 0) if HOLD_REACH[chosen] is None else (blocks.BLOCK_SIZE, HOLD_REACH[chosen])
    )
    width = block + 2 * reach  # the same at the ends: JAX compiles a spline for each length

    def make(start, stop):
        first = max(0, min(start - reach, length - width))
        last = min(first + width, length)
        held = u(range(first, last + 1)).astype(jax.numpy.result_type(float))
        axis = abs(dt) * np.arange(len(held))  # in the order of the run, backwards in time or not
        try:
            found = hold(axis, held)
        except ValueError as error:
            raise ValueError(f"input.hold: {error}") from error
        return jax.tree.map(lambda x: np.asarray(x)[start - first : stop - first], found)

    xs = rows_by_block(make, length, block=block, kept=1)
    return lambda start, stop: xs(range(start, stop))


def _hold_name(config):
    return convert(
        "input.hold", Literal[tuple(HOLD_REACH)], config.groups["input"].get("hold", "zero_order")
    )
