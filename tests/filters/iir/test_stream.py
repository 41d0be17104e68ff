"""Blocks of any length against the whole at once, to the bit; gaps against scipy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.iir import lfilter, sosfilt
from filters.iir.sosfilt import apply_sos
from filters.iir.stream import GAPS, direct_stream, sos_stream
from sim.live import load, save

T = 71
SOS = scipy.signal.cheby1(4, 1, 0.3, output="sos")
BA = scipy.signal.cheby1(3, 1, 0.3)
nan = np.nan

splits = st.lists(st.integers(0, 20)).map(lambda cuts: np.minimum(np.cumsum([0, *cuts]), T))


def noise(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def in_blocks(stream, x, edges, state=None):
    """All of x by blocks that end at the edges, and what comes after."""
    state, ys = stream.init() if state is None else state, []
    for start, stop in itertools.pairwise([*edges, len(x)]):
        state, y = stream.step(state, x[start:stop])
        assert isinstance(y, np.ndarray) and y.shape == x[start:stop].shape
        ys.append(y)
    return state, np.concatenate(ys)


@pytest.mark.parametrize("channels, dtype", [((), np.float64), ((4,), np.float32), ((3,), complex)])
def test_blocks_of_any_length_are_the_whole_to_the_bit(channels, dtype):
    real = np.float32 if dtype is np.float32 else np.float64
    sos, (b, a) = SOS.astype(real), (p.astype(real) for p in BA)
    x = noise(T, *channels, dtype=dtype)
    cases = [
        (sos_stream(sos, channels, dtype=dtype), sosfilt(sos, x, 0, form="scan")),
        (direct_stream(b, a, channels, dtype=dtype), lfilter(b, a, x, 0, form="scan")),
    ]

    @settings(max_examples=15)
    @given(splits)
    def check(edges):
        for stream, whole in cases:
            state, y = in_blocks(stream, x, edges)
            assert y.dtype == whole.dtype == dtype
            np.testing.assert_array_equal(y, whole)

    check()
    for stream, whole in cases:  # one sample at a time, as live
        np.testing.assert_array_equal(in_blocks(stream, x, range(T))[1], whole)


def test_the_state_before_the_state_after_and_what_is_still_inside():
    x, zi = noise(T, 2), noise(2, 2, 2, seed=1)
    expected, _ = scipy.signal.sosfilt(SOS, np.concatenate([x, np.zeros((9, 2))]), axis=0, zi=zi)
    stream = sos_stream(SOS, (2,))
    state, y = in_blocks(stream, x, [0, 3], stream.init(zi))
    after, tail = stream.flush(state, 9)
    np.testing.assert_allclose(np.concatenate([y, tail]), expected, rtol=0, atol=1e-13)
    assert stream.flush(state, 0)[1].shape == (0, 2)
    np.testing.assert_array_equal(tail[4:], stream.flush(stream.flush(state, 4)[0], 5)[1])


def test_a_state_goes_to_disk_and_back_in_another_process(tmp_path):
    x, stream = noise(T), sos_stream(SOS, gap="hold")
    x[29:32] = nan
    whole = in_blocks(stream, x, [0])[1]
    for k in (30, 31):
        state, head = stream.step(stream.init(), x[:k])
        save(tmp_path / "state.npz", state)
        again = sos_stream(SOS, gap="hold")
        state = load(tmp_path / "state.npz", again.init())
        rest = in_blocks(again, x[k:], [0], state)[1]
        np.testing.assert_array_equal(np.concatenate([head, rest]), whole)


def by_hand(x, gap):
    """One channel as the policy says it, on scipy."""
    if gap == "restart":
        y, edges = np.full(T, nan), np.flatnonzero(np.diff([True, *np.isnan(x), True]))
        for start, stop in edges.reshape(-1, 2):
            y[start:stop] = scipy.signal.sosfilt(SOS, x[start:stop])
        return y
    x, last = x.copy(), 0.0
    for k in range(T if gap == "hold" else 0):
        x[k] = last = last if np.isnan(x[k]) else x[k]
    return scipy.signal.sosfilt(SOS, x)


@settings(max_examples=40)
@given(st.tuples(*[st.sampled_from(GAPS)] * 3), st.integers(0, 2**32 - 1), splits)
def test_gaps_of_each_channel(gap, seed, edges):
    rng = np.random.default_rng(seed)
    x = noise(T, 3)
    for _ in range(rng.integers(0, 6)):
        start = rng.integers(0, T)
        x[start : start + rng.integers(1, 10), rng.integers(0, 3)] = nan
    _, y = in_blocks(sos_stream(SOS, (3,), gap=gap), x, edges)
    np.testing.assert_array_equal(y, in_blocks(sos_stream(SOS, (3,), gap=gap), x, [0])[1])
    for i, policy in enumerate(gap):
        np.testing.assert_allclose(y[:, i], by_hand(x[:, i], policy), rtol=0, atol=1e-13)


def test_gaps_of_a_transfer_function_and_one_policy_for_all():
    x = noise(T, 2)
    x[10:12, 0] = x[40, 1] = nan
    state, y = in_blocks(direct_stream(*BA, (2,), gap="restart"), x, [0, 11])
    before, after = (scipy.signal.lfilter(*BA, part) for part in (x[:10, 0], x[12:, 0]))
    pieces = [before, [nan, nan], after]
    np.testing.assert_allclose(y[:, 0], np.concatenate(pieces), rtol=0, atol=1e-13)
    np.testing.assert_allclose(y[41:, 1], scipy.signal.lfilter(*BA, x[41:, 1]), rtol=0, atol=1e-13)


def test_few_programs_are_compiled_whatever_the_blocks():
    long = noise(3 * 4096 + 17, 7)
    before, stream = apply_sos._cache_size(), sos_stream(SOS[:1], (7,))
    state = stream.init()
    for n in [*range(40), len(long), 1000, 4095]:
        state, _ = stream.step(state, long[:n])
    assert apply_sos._cache_size() - before <= 12 + 1  # one more: a first state from NumPy


def test_mistakes_are_named():
    stream = sos_stream(SOS, (2,))
    state = stream.init()
    cases = [
        (lambda: sos_stream(SOS, gap="skip"), r"gap: expected one of \('propagate'"),
        (lambda: sos_stream(SOS, (2,), gap=["hold"] * 3), r"one for each channel of \(2,\), got"),
        (lambda: sos_stream(np.ones(6)), r"sos: expected an array of shape \(sections, 6\)"),
        (lambda: direct_stream([], [1.0]), "b: expected a vector of coefficients"),
        (lambda: stream.init(np.zeros(4)), r"zi: expected shape \(2, 2, 2\), got \(4,\)"),
        (lambda: stream.step(state, np.ones(5)), r"block: expected shape \(T, 2\), got \(5,\)"),
        (lambda: stream.step(state, 1.0), r"block: expected shape \(T, 2\), got \(\)"),
        (lambda: stream.step(state, 1j * np.ones((3, 2))), "block: expected float64, got complex"),
        (lambda: jax.jit(stream.step)(state, jnp.ones((3, 2))), "block: expected known numbers"),
        (lambda: stream.flush(state, -1), "n: expected a number of samples, at least 0, got -1"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
