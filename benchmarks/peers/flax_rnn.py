"""Recurrent networks of flax.linen with our weights: an `nn.RNN` for each layer."""

import flax.linen as nn

GATES = {"gru": "rzn", "lstm": "ifgo"}
CELLS = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}


def outputs(kind, params, xs):
    """What the last layer gives out, (N, batch, hidden)."""
    for p in params:
        layer = nn.RNN(CELLS[kind](p.U.shape[0]), time_major=True)
        xs = layer.apply({"params": {"cell": _weights(kind, p)}}, xs)
    return xs


def _weights(kind, p):
    """Our gates side by side as flax's layers, one for each gate of x and of h."""
    n, found = p.U.shape[0], {}
    for i, gate in enumerate(GATES[kind]):
        part = slice(i * n, (i + 1) * n)
        of_x, of_h = {"kernel": p.W[:, part]}, {"kernel": p.U[:, part]}
        # flax keeps the bias of a GRU at x, and that of an LSTM at h.
        (of_x if kind == "gru" else of_h)["bias"] = p.b[part]
        found |= {f"i{gate}": of_x, f"h{gate}": of_h}
    if kind == "gru":
        found["hn"]["bias"] = p.b_n
    return found
