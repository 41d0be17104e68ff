"""A generated input: a test signal sampled at the times of the run, in blocks if it can be."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.cli.instantiate import instantiate
from experiments.simulate import blocks
from experiments.simulate.blocks import Rows, rows_by_block, rows_in_memory

BLOCKS_KEPT = 6  # two chunks of 10⁵ steps: one is computed while the one before it is written


def generate_input(
    generator: Callable,
    settings: Mapping[str, Any],
    t0: float,
    dt: float,
    length: int,
    *,
    seed: int,
    shape: Callable[[np.ndarray], np.ndarray],
) -> Rows:
    """``u(k)``, the samples at t0 + k·dt for a range of indices k in 0, …, length.

    A generator that declares `sim.times.EachTime` is called for a block of times at once;
    any other is called for the whole record.

    Args:
        generator: a function of the times t (N,), such as those of `sim.signals`.
        settings: its other arguments, from the configuration.
        t0, dt, length: as `experiments.simulate.inputs.run_clock` returns them.
        seed: passed to a generator that takes one.
        shape: checks samples (n, inputs) against the model and returns them as it takes them.
    """
    from sim.times import find_each_time

    settings = dict(settings)
    given = {"seed": seed} if "seed" in inspect.signature(generator).parameters else {}
    order = slice(None, None, 1 if dt > 0 else -1)  # a generator takes increasing times

    def make(start, stop):
        t = (t0 + dt * np.arange(start, stop + 1))[order]
        u = np.asarray(instantiate(generator, settings, "input", {"t": t, **given}))
        if u.ndim not in (1, 2) or len(u) != len(t):
            raise ValueError(
                f"input: expected {len(t)} samples, one for each time, got shape {u.shape}"
            )
        return shape(u[order].reshape(len(t), -1))

    each_time = find_each_time(generator)
    if each_time is None:
        return rows_in_memory(make(0, length))
    first, last = sorted((t0, t0 + dt * length))
    for name, find in each_time.from_record.items():
        if settings.get(name) is None:
            parameters = inspect.signature(find).parameters
            needed = {key: settings[key] for key in parameters if key in settings}
            record = {"first": first, "last": last, "count": length + 1}
            settings[name] = instantiate(find, needed, "input", record)
    u = rows_by_block(make, length, block=blocks.BLOCK_SIZE, kept=BLOCKS_KEPT)
    u(range(0, length + 1, length))  # a mistake shows at one of the ends
    return u
