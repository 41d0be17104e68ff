"""Recurrent networks of torch with our weights: loss and gradients in our layout."""

import numpy as np
import torch


def train(kind, params, xs):
    """The mean square of the last layer's output, and its gradients, as a run.

    ``params`` are our own, layer by layer, of `gru` or `lstm`; torch's second bias, which
    adds to the first, is zero but where a GRU needs it.
    """
    hidden = params[0].U.shape[0]
    make = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind]
    net = make(xs.shape[-1], hidden, num_layers=len(params))
    for i, p in enumerate(params):
        second = np.zeros_like(p.b)
        if kind == "gru":
            second[2 * hidden :] = p.b_n
        arrays = (np.asarray(p.W).T, np.asarray(p.U).T, np.asarray(p.b), second)
        for parameter, array in zip(_layer(net, i), arrays, strict=True):
            parameter.data = torch.tensor(array)
    xs = torch.tensor(np.asarray(xs))

    def run():
        net.zero_grad()
        loss = net(xs)[0].square().mean()
        loss.backward()
        grads = []
        for i in range(len(params)):
            W, U, b, second = (parameter.grad for parameter in _layer(net, i))
            grads += [W.T, U.T, b] + ([second[2 * hidden :]] if kind == "gru" else [])
        return [loss.detach(), *grads]

    return run


def _layer(net, i):
    return [getattr(net, f"{n}_l{i}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
