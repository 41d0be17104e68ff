"""Signal filters beside scipy's compiled code: the same filter, the same samples.

``floor`` reads and writes the samples once, by the same library as ours.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Work, close, compile_run
from filters.iir import sosfilt, sosfiltfilt

SAMPLES = 2**20
# Relative to the largest value; the forms round differently.
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}


def case(order, dtype, shape):
    """A low-pass at a tenth of the Nyquist frequency, and noise."""
    from scipy import signal

    sos = signal.butter(order, 0.1, output="sos").astype(dtype)
    return sos, np.random.default_rng(0).normal(size=shape).astype(dtype)


def _peer(name, sos, x, options):
    def side():
        from scipy import signal

        return partial(getattr(signal, name), sos, x, **options)

    return side


def _torchaudio(sos, x):
    from benchmarks.peers.torchaudio_iir import build_filter

    return build_filter(sos, x)


def _floor(x):
    run = compile_run(lambda x: x * np.asarray(0.5, x.dtype), jnp.asarray(x))

    def run_floor():
        run()  # not the result of the filter, so there is none to compare

    return run_floor


def _agree(dtype):
    same = close(TOLERANCE[np.dtype(dtype).name])
    return lambda ours, peer: None if peer is None else same(ours, peer)


def row(ours, order, dtype, shape=(SAMPLES,), torch=False, **options):
    """A function with scipy's name and signature."""
    sos, x = case(order, dtype, shape)
    peers = {"scipy": _peer(ours.__name__, sos, x, options), "floor": partial(_floor, x)}
    if torch:
        peers["torchaudio"] = partial(_torchaudio, sos, x)
    return Work(
        unit="ns/sample",
        scale=1e9 / x.size,
        ours=lambda: compile_run(partial(ours, **options), jnp.asarray(sos), jnp.asarray(x)),
        peers=peers,
        compare=_agree(dtype),
    )


def grad(order, dtype):
    """Value and gradient by signal and coefficients; the peer is the forward pass alone."""
    sos, x = map(jnp.asarray, case(order, dtype, (SAMPLES,)))
    weight = jnp.asarray(case(order, dtype, (2, SAMPLES))[1][1])

    def loss(sos, x):
        return jnp.sum(weight * sosfilt(sos, x))

    def forward():
        run = compile_run(loss, sos, x)
        return lambda: (run(), None)

    def compare(ours, peer):  # they share the value
        return close(1e-6 if dtype == np.float64 else 1e-3)(ours[0], peer[0])

    return Work(
        unit="ns/sample",
        scale=1e9 / SAMPLES,
        ours=lambda: compile_run(jax.value_and_grad(loss, (0, 1)), sos, x),
        peers={"forward": forward, "floor": partial(_floor, np.asarray(x))},
        compare=lambda ours, peer: None if peer is None else compare(ours, peer),
    )


def short(order, dtype, samples=256, calls=1000):
    """Many calls on few samples, compiled once."""
    sos, x = case(order, dtype, (samples,))

    def run_calls(call, finish):
        def run():
            for _ in range(calls):
                y = call()
            return finish(y)

        return run

    def ours():
        program, args = jax.jit(sosfilt), (jnp.asarray(sos), jnp.asarray(x))
        return run_calls(lambda: jax.block_until_ready(program(*args)), np.asarray)

    def scipy():
        from scipy import signal

        return run_calls(lambda: signal.sosfilt(sos, x), np.asarray)

    return Work(
        unit="µs/call",
        scale=1e6 / calls,
        ours=ours,
        peers={"scipy": scipy, "floor": lambda: run_calls(_floor(x), lambda y: y)},
        compare=_agree(dtype),
    )


def _rows():
    channels = (SAMPLES // 64, 64)
    for suffix, dtype in (("", np.float64), ("_f32", np.float32)):
        for order in (2, 4, 8, 16):
            yield f"sosfilt_o{order}{suffix}", partial(row, sosfilt, order, dtype, torch=True)
        for order in (2, 4, 8):  # samples of all channels together, as they are recorded
            time_first = partial(row, sosfilt, order, dtype, channels, axis=0)
            yield f"sosfilt_64ch_o{order}{suffix}", time_first
            time_last = partial(row, sosfilt, order, dtype, channels[::-1])
            yield f"sosfilt_64ch_last_o{order}{suffix}", time_last
        yield f"sosfiltfilt_o4{suffix}", partial(row, sosfiltfilt, 4, dtype, padlen=15)
        yield f"grad_o4{suffix}", partial(grad, 4, dtype)
        yield f"short_o4{suffix}", partial(short, 4, dtype)


ROWS = {f"iir.{name}": work for name, work in _rows()}
