"""Writes torch_layers.json: weights, an input and what torch makes of it.

python tests/rnn/make_torch_layers.py        where torch is installed
"""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent


def record(kind, bias):
    import torch

    torch.manual_seed(6)
    module = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind]
    net = module(input_size=2, hidden_size=3, num_layers=2, bias=bias, dtype=torch.float64)
    x = torch.randn(5, 2, 2, dtype=torch.float64)
    with torch.no_grad():
        y, carry = net(x)
    carry = carry if kind == "lstm" else (carry,)
    return {
        "kind": kind,
        "bias": bias,
        "state": {k: v.numpy().tolist() for k, v in net.state_dict().items()},
        "x": x.tolist(),
        "y": y.tolist(),
        "carry": [leaf.tolist() for leaf in carry],
    }


def main():
    import torch

    cases = [record(kind, bias) for kind in ("rnn", "gru", "lstm") for bias in (True, False)]
    text = json.dumps({"torch": torch.__version__, "cases": cases})
    (HERE / "torch_layers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
