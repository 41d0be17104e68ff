"""Recurrent networks of flax.linen with our weights: an `nn.RNN` for each layer."""

import flax.linen as nn

GATES = {"gru": "rzn", "lstm": "ifgo"}
CELLS = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}


def outputs(kind, params, xs):
    """The output of the last layer, (N, batch, hidden)."""
    for p in params:
        layer = nn.RNN(CELLS[kind](p.U.shape[0]), time_major=True)
        xs = layer.apply({"params": {"cell": _weights(kind, p)}}, xs)
    return xs


def _weights(kind, p):
    """Our gates side by side as flax's layers, one for each gate of x and of h."""
    n, layers = p.U.shape[0], {}
    for i, gate in enumerate(GATES[kind]):
        part = slice(i * n, (i + 1) * n)
        x_layer, h_layer = {"kernel": p.W[:, part]}, {"kernel": p.U[:, part]}
        # flax keeps the bias of a GRU at x, and that of an LSTM at h.
        (x_layer if kind == "gru" else h_layer)["bias"] = p.b[part]
        layers |= {f"i{gate}": x_layer, f"h{gate}": h_layer}
    if kind == "gru":
        layers["hn"]["bias"] = p.b_n
    return layers
