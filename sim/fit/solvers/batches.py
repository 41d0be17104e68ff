"""Records as windows, all side by side, or in batches of random order."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.records.experiment import Experiment


class Window(NamedTuple):
    """One window of B records side by side.

    Attributes:
        e: an `Experiment` of B records, without y0.
        real: (B, window), which samples are of the record and not of its filling.
        first: (), whether the records begin here.
        rows: (B,), the indices of these records among all.
        number: (), the number of the window in the pass, from 1 on.
    """

    e: Experiment
    real: Any
    first: Any
    rows: Any
    number: Any


def split_windows(problem, window: int):
    """All records as windows, the shorter ones filled up with missing samples.

    Returns:
        `Window`s along a first axis, and y0 (E, outputs) or None.
    """
    longest = max(group.y.shape[1] for group in problem.groups)
    window = min(window, longest)
    count = -(-longest // window)

    def fill_up(x, fill=None):
        widths = [(0, 0), (0, count * window - x.shape[1])] + [(0, 0)] * (x.ndim - 2)
        if fill is None:  # the last input goes on, so that the model stays where it was
            return jnp.pad(x, widths, mode="edge")
        return jnp.pad(x, widths, constant_values=fill)

    def to_windows(groups):
        x = jnp.concatenate(groups)
        return jnp.moveaxis(x.reshape(x.shape[0], count, window, *x.shape[2:]), 1, 0)

    groups = problem.groups
    xs = jax.tree.map(lambda *x: to_windows([fill_up(a) for a in x]), *(g.xs for g in groups))
    y = to_windows([fill_up(g.y, jnp.nan) for g in groups])
    real = to_windows([fill_up(jnp.ones(g.y.shape[:2], bool), False) for g in groups])
    y0 = None
    if any(g.y0 is not None for g in groups):
        y0 = jnp.concatenate([g.y[:, 0] * jnp.nan if g.y0 is None else g.y0 for g in groups])
    first = jnp.arange(count) == 0
    rows = jnp.tile(jnp.arange(real.shape[1])[None], (count, 1))
    return Window(Experiment(xs, y), real, first, rows, jnp.arange(1, count + 1)), y0


def shuffle_windows(windows: Window, batch: int, key) -> Window:
    """The windows of one batch of records after those of another, in an order drawn by a key."""
    count, records = windows.real.shape[:2]
    batch = min(batch, records)
    batches = -(-records // batch)
    order = jax.random.permutation(key, records)
    rows = jnp.resize(order, batches * batch).reshape(batches, batch)
    # The last batch is filled with records that do not count.
    counts = (np.arange(batches * batch) < records).reshape(batches, 1, batch, 1)

    def to_batches(x):
        x = jnp.swapaxes(x[:, rows], 0, 1)
        return x.reshape(batches * count, *x.shape[2:])

    e = jax.tree.map(to_batches, windows.e)
    real = to_batches(windows.real) & np.repeat(counts, count, 1).reshape(-1, batch, 1)
    e = e._replace(y=jnp.where(real[..., None], e.y, jnp.nan))
    return Window(
        e,
        real,
        jnp.tile(windows.first, batches),
        jnp.repeat(rows, count, axis=0),
        jnp.arange(1, batches * count + 1),
    )
