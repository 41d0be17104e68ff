"""Pieces of a record: every sample counts once, after the same warm-up."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.fit import Experiment, sampled
from sim.rnn import pieces


@settings(max_examples=30)
@given(n=st.integers(1, 40), length=st.integers(1, 45), warmup=st.integers(0, 8))
def test_pieces_cover_a_record_once(n, length, warmup):
    xs = {"u": np.arange(n), "v": np.zeros((n, 2))}
    y = np.arange(2.0 * n).reshape(n, 2)
    e = Experiment(xs, y, np.zeros(2))
    if n <= warmup:
        with pytest.raises(ValueError) as raised:
            pieces(e, length, warmup=warmup)
        assert str(raised.value) == (
            f"experiment: expected at least {warmup + 1} samples, one more "
            f"than the warm-up, got {n}"
        )
        return
    segments = pieces(e, length, warmup=warmup)
    counted = np.zeros(n, int)
    for piece in segments:
        at = np.asarray(piece.xs["u"])
        assert (np.diff(at) == 1).all() and len(at) == warmup + min(length, n - warmup)
        seen = ~np.isnan(np.asarray(piece.y))
        assert not seen[:warmup].any() and piece.y0 is None
        np.testing.assert_array_equal(np.asarray(piece.y)[seen], y[at][seen])
        counted[at] += seen[:, 0]
    assert (counted[warmup:] == 1).all() and not counted[:warmup].any()
    assert len(segments) == -(-(n - warmup) // min(length, n - warmup))


def test_gaps_stay_and_pieces_of_an_input_are_cut_along_time():
    t = np.arange(7) / 10
    e = sampled(t, jnp.asarray(t), np.where(t == 0.4, np.nan, t).astype("float32"))
    last = pieces(e, 3)[1]
    assert last.y.dtype == jnp.float32
    np.testing.assert_array_equal(last.y[:, 0], np.array([np.nan, 0.5, 0.6], "float32"))
    np.testing.assert_allclose(last.xs(0.0), [0.3, 0.4, 0.5])


@pytest.mark.parametrize(
    ("length", "warmup", "line"),
    [
        (0, 0, "length: expected an integer of at least 1, got 0"),
        (2, -1, "warmup: expected an integer of at least 0, got -1"),
        (2, 1.0, "warmup: expected an integer of at least 0, got 1.0"),
    ],
)
def test_mistakes_are_one_line(length, warmup, line):
    with pytest.raises(ValueError) as raised:
        pieces(Experiment(None, np.zeros((5, 1))), length, warmup=warmup)
    assert str(raised.value) == line


def test_an_argument_that_is_not_a_record_is_refused():
    with pytest.raises(ValueError, match="^experiment: expected an Experiment, got function$"):
        pieces(pieces, 3)
