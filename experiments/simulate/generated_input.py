"""A generated input: the samples of a function of time, made block by block where they can be."""

import inspect
from collections.abc import Callable

import numpy as np

from experiments.cli.config import Config
from experiments.cli.instantiate import instantiate
from experiments.cli.targets import resolve
from experiments.simulate import blocks
from experiments.simulate.blocks import Rows, rows_by_block, rows_in_memory

BLOCKS_KEPT = 6  # two chunks of 10⁵ steps: one is computed while the one before it is written


def generate_input(
    config: Config, t0: float, dt: float, length: int, fit: Callable[[np.ndarray], np.ndarray]
) -> Rows:
    """``u(k)``, the samples at t0 + k·dt for a range of indices in 0, …, length.

    The generators of `sim.signals` that depend on each time alone are asked for a block
    of times at once; noise and a function of the user's are asked for the whole record.

    Args:
        fit: takes samples (n, inputs), raises where they do not suit the model, and
            returns what is kept of them.
    """
    from sim import signals

    source = resolve("input._target_", config.target("input"), config.allow)
    settings = {key: value for key, value in config.groups["input"].items() if key != "hold"}
    seed = {"seed": config.seed} if "seed" in inspect.signature(source).parameters else {}
    order = slice(None, None, 1 if dt > 0 else -1)  # a generator wants increasing times

    def times(start, stop):
        return (t0 + dt * np.arange(start, stop + 1))[order]

    def make(start, stop):
        t = times(start, stop)
        u = np.asarray(instantiate(source, settings, "input", {"t": t, **seed}))
        if u.ndim not in (1, 2) or len(u) != len(t):
            raise ValueError(
                f"input: expected {len(t)} samples, one for each time, got shape {u.shape}"
            )
        return fit(u[order].reshape(len(t), -1))

    of_time = (
        signals.step,
        signals.ramp,
        signals.sine,
        signals.chirp,
        signals.multisine,
        signals.prbs,
    )
    if source not in of_time:
        return rows_in_memory(make(0, length))
    # What these two take from the whole record where they are not told.
    if source is signals.multisine and settings.get("period") is None:
        settings["period"] = (length + 1) * (abs(t0 + dt * length - t0) / length)
    if source is signals.prbs and settings.get("register") is None:
        latest = max(times(0, 1), times(length - 1, length), key=lambda t: t[-1])
        clock = {key: settings[key] for key in ("clock",) if key in settings}
        settings["register"] = instantiate(signals.shortest_register, clock, "input", {"t": latest})
    u = rows_by_block(make, length, block=blocks.BLOCK_SIZE, kept=BLOCKS_KEPT)
    u(range(0, length + 1, length))  # what is wrong is so at one of the ends
    return u
