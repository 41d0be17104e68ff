"""The rows of recurrent networks: every side that is installed does the same work."""

from functools import partial

import jax
import pytest

from benchmarks import __main__ as command
from benchmarks import measure, rnn

ROWS = (
    "rnn.gru_h8 rnn.gru_h64 rnn.gru_h256 rnn.lstm_h8 rnn.lstm_h64 rnn.lstm_h256 "
    "rnn.gru_h8_b1 rnn.lru"
)
TINY = {
    "gru": partial(rnn.train, "gru", 4, 2, 3),
    "lstm": partial(rnn.train, "lstm", 4, 2, 3),
    "layers": partial(rnn.layer_loops, 4, 2, 3),
    "lru": partial(rnn.linear, 4, 2, 3),
}


def test_the_rows_are_found():
    names = list(command.rows())
    assert set(ROWS.split()) <= set(names)
    assert any(name.startswith("rnn.layers_") for name in names)


@pytest.mark.parametrize("name", TINY)
def test_the_sides_of_a_row_do_the_same_work(name):
    tiny = TINY[name]()
    # The peers are not written for the strict promotion of these tests.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        row = measure.measure(name, tiny, rounds=1)
    assert "error" not in row, row
    assert set(row["peers"]) | set(row.get("missing", {})) == set(tiny.peers)
    assert row["ours"]["min"] > 0
