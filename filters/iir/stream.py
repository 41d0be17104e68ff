"""Filters for a signal that arrives in blocks, equal to the whole to the bit.

    init → state,   step(state, block) → state, y,   flush(state, n) → state, y

A block has time first and any length, 0 and 1 included. The blocks go through the compiled
loop of `sosfilt` or `lfilter`, sample by sample, in pieces of 2, 4, 8, … 4096: a program for
each of these twelve lengths and for no other. A loop of one sample compiles to other
roundings, so a single remaining sample gives its y at once, from a loop of two whose second
step is dropped, and enters the state together with the next.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from filters.iir.arrays import common_dtype, polynomials, sections
from filters.iir.lfilter import apply_ba as filtered_by_polynomials
from filters.iir.sosfilt import apply_sos as filtered_by_sections

GAPS = ("propagate", "hold", "restart")
LONGEST = 4096


class StreamState(NamedTuple):
    """The state of a stream, a pytree for `sim.live.save` and `sim.live.load`.

    Attributes:
        z: the state of the filter, shaped as zi.
        waiting: 1 if one more sample is to go into z, else 0.
        sample: that sample (…channels).
        last: the last sample of each channel that was not a gap (…channels); 0 at first.
    """

    z: Any
    waiting: Any
    sample: Any
    last: Any


class Stream(NamedTuple):
    """A filter of blocks without memory of its own: it takes a state and returns the next.

    Attributes:
        init: ``init(zi=None) -> state``, at rest by default.
        step: ``step(state, block) -> (state, y)``; block and y are (T, …channels), any T.
        flush: ``flush(state, n) -> (state, y)``: y (n, …channels) is the output for n
            further samples of 0. A recursion rings for ever, so the caller chooses n; the
            state after them is returned.
    """

    init: Callable[..., StreamState]
    step: Callable[..., tuple[StreamState, Any]]
    flush: Callable[..., tuple[StreamState, Any]]


def sos_stream(sos, channels: tuple[int, ...] = (), *, gap="propagate", dtype=None) -> Stream:
    """Second-order sections for a signal that arrives in blocks.

        step(state, x₁), step(state, x₂), …  =  sosfilt(sos, x₁x₂…, axis=0, form="scan")

    bit for bit, however the signal is cut.

    Args:
        sos: (S, 6), as in `sosfilt`.
        channels: the shape of a sample.
        gap: the effect of a NaN in its channel. "propagate": it enters the state and stays,
            as in scipy. "hold": the filter gets the last good sample again (0 if there was
            none). "restart": y is NaN there, and the state is at rest afterwards. One name,
            or one for each channel. Replace lost samples by as many NaNs; for "restart" one
            is enough.
        dtype: of the samples, by default that of sos; the state and y have that of both
            together.

    Returns:
        A stream on the host: ``init(zi=None)`` with zi (S, 2, …channels), blocks are
        arrays with known numbers, and y is a NumPy array. Inside `jit`, and for
        gradients, there are `sosfilt` with zi and `sos_stepper`.

    Raises:
        ValueError: as `sosfilt`; there is no such gap policy; a block is not
            (T, …channels), is traced, or is complex while the stream is real.

    Reference: as `sosfilt`.

    >>> smooth = sos_stream([[0.5, 0.5, 0.0, 1.0, 0.0, 0.0]])
    >>> state, y = smooth.step(smooth.init(), [2.0, 4.0])
    >>> state, late = smooth.step(state, [6.0])
    >>> y.tolist(), late.tolist(), smooth.flush(state, 2)[1].tolist()
    ([1.0, 3.0], [5.0], [3.0, 0.0])
    """
    sos = sections(sos)
    dtype = _dtype(dtype, sos)
    run = partial(_sections, jnp.asarray(sos, dtype))
    return _stream(run, (len(sos), 2), channels, gap, dtype)


def direct_stream(b, a, channels: tuple[int, ...] = (), *, gap="propagate", dtype=None) -> Stream:
    """A transfer function for a signal that arrives in blocks: `lfilter` as `sos_stream`.

    Args:
        b, a: as in `lfilter`.
        channels, gap, dtype: as in `sos_stream`.

    Returns:
        A stream: ``init(zi=None)`` with zi (n, …channels).

    Raises:
        ValueError: as `lfilter` and `sos_stream`.

    Reference: as `sosfilt`.

    >>> hold = direct_stream([1.0], [1.0, -0.5], gap="hold")
    >>> hold.step(hold.init(), [1.0, float("nan"), 0.0])[1].tolist()
    [1.0, 1.5, 0.75]
    """
    b, a = polynomials(b, a)
    dtype = _dtype(dtype, b, a)
    run = partial(_polynomials, jnp.asarray(b, dtype), jnp.asarray(a, dtype))
    return _stream(run, (max(len(a), len(b)) - 1,), channels, gap, dtype)


def _sections(sos, x, z):
    return filtered_by_sections(sos, x, z, 0, "scan")


def _polynomials(b, a, x, z):
    return filtered_by_polynomials(b, a, x, z, 0, "scan")


def _dtype(dtype, *coefficients):
    samples = () if dtype is None else (np.zeros((), dtype),)
    return common_dtype(*coefficients, *samples)


def _stream(run, shape, channels, gap, dtype) -> Stream:
    names, channels = np.asarray(gap), tuple(channels)
    unknown = [name for name in names.ravel().tolist() if name not in GAPS]
    if unknown or names.shape not in ((), channels):
        expected = f"one of {GAPS}, or one for each channel of {channels}"
        raise ValueError(f"gap: expected {expected}, got {gap!r}")
    rest = StreamState(
        np.zeros((*shape, *channels), dtype),
        np.zeros((), np.int32),
        np.zeros(channels, dtype),
        np.zeros(channels, dtype),
    )
    step = partial(_step, run, np.broadcast_to(names, channels))
    return Stream(partial(_init, rest), step, partial(_flush, step))


def _init(rest, zi=None):
    if zi is None:
        return rest
    if np.shape(zi) != rest.z.shape:
        raise ValueError(f"zi: expected shape {rest.z.shape}, got {np.shape(zi)}")
    return rest._replace(z=_check_known("zi", zi, rest.z.dtype))


def _flush(step, state, n):
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"n: expected a number of samples, at least 0, got {n!r}")
    return step(state, np.zeros((n, *state.last.shape), state.last.dtype))


def _check_known(name, x, dtype):
    if isinstance(x, jax.core.Tracer):
        raise ValueError(f"{name}: expected known numbers, got a traced array; use sosfilt with zi")
    x = np.asarray(x)
    if not np.can_cast(x.dtype, dtype, "same_kind"):
        raise ValueError(f"{name}: expected {dtype}, got {x.dtype}")
    return x.astype(dtype)


def _step(run, gap, state, block):
    x, channels = _check_known("block", block, state.last.dtype), state.last.shape
    if x.ndim == 0 or x.shape[1:] != channels:
        expected = ", ".join(map(str, ("T", *channels)))
        raise ValueError(f"block: expected shape ({expected}), got {x.shape}")
    if len(x) == 0:
        return state, x
    missing = np.isnan(x)
    last_good = _hold_last(np.concatenate([np.asarray(state.last)[None], x]))
    restarts = missing & (gap == "restart")
    x = np.where(restarts, np.zeros_like(x), np.where(gap == "hold", last_good[1:], x))
    # In a gap with "restart" the filter stays at rest: its input is 0, and its state is
    # cleared where the gap begins.
    begins = restarts & ~np.concatenate([np.zeros_like(restarts[:1]), restarts[:-1]])
    cuts = set(np.flatnonzero(begins.reshape(len(x), -1).any(axis=1)).tolist())
    starts, ys = sorted({0} | cuts), []
    for start, stop in zip(starts, [*starts[1:], len(x)], strict=True):
        if start in cuts:
            state = state._replace(
                z=np.where(begins[start], 0, state.z).astype(x.dtype),
                sample=np.where(begins[start], 0, state.sample).astype(x.dtype),
            )
        state, y = _pieces(run, state, x[start:stop])
        ys += y
    y = np.concatenate(ys)
    return state._replace(last=last_good[-1]), np.where(restarts, np.asarray(np.nan, y.dtype), y)


def _hold_last(x):
    """Every NaN replaced by the last value before it; the first row stays."""
    good = ~np.isnan(x)
    rows = np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1))
    return np.take_along_axis(x, np.maximum.accumulate(np.where(good, rows, 0), axis=0), axis=0)


def _pieces(run, state, x):
    """Filter the samples, in pieces of powers of two, never a single one."""
    z, waiting, ys = state.z, int(state.waiting), []
    if waiting:
        x = np.concatenate([np.asarray(state.sample)[None], x])
    done = 0
    while len(x) - done > 1:
        length = min(1 << ((len(x) - done).bit_length() - 1), LONGEST)
        y, z = run(x[done : done + length], z)
        ys.append(y)
        done += length
    alone = x[done:]
    if len(alone):
        ys.append(np.asarray(run(np.concatenate([alone, np.zeros_like(alone)]), z)[0])[:1])
    if waiting and ys:  # its y was returned before
        ys[0] = np.asarray(ys[0])[1:]
    sample = alone[0] if len(alone) else np.zeros_like(state.last)
    return state._replace(z=z, waiting=np.asarray(len(alone), np.int32), sample=sample), ys
