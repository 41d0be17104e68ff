"""Cells against equinox, torch and flax on the same weights."""

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.rnn import elman, gru, lstm, minimal_gated
from tests.rnn.zoo import CELLS, HIDDEN, INPUTS, STEPS, run, signal, weights


def leaves(module, **named):
    return equinox.tree_at(lambda m: [getattr(m, k) for k in named], module, [*named.values()])


def test_gru_is_that_of_equinox():
    p = weights(CELLS["gru"])
    other = leaves(
        equinox.nn.GRUCell(INPUTS, HIDDEN, key=jax.random.key(0)),
        weight_ih=p.W.T, weight_hh=p.U.T, bias=p.b, bias_n=p.b_n,
    )  # fmt: skip
    xs, h = signal(STEPS, INPUTS), jnp.zeros(HIDDEN)
    _, ys = run(gru(p), xs)
    for x, y in zip(xs, ys, strict=True):
        h = other(x, h)
        np.testing.assert_allclose(y, h, rtol=1e-13)


def test_lstm_is_that_of_equinox():
    p = weights(CELLS["lstm"])
    other = leaves(
        equinox.nn.LSTMCell(INPUTS, HIDDEN, key=jax.random.key(0)),
        weight_ih=p.W.T, weight_hh=p.U.T, bias=p.b,
    )  # fmt: skip
    xs, carry = signal(STEPS, INPUTS), (jnp.zeros(HIDDEN),) * 2
    last, ys = run(lstm(p), xs)
    for x, y in zip(xs, ys, strict=True):
        carry = other(x, carry)
        np.testing.assert_allclose(y, carry[0], rtol=1e-13)
    np.testing.assert_allclose(last.c, carry[1], rtol=1e-13)


def test_elman_and_minimal_gated_are_their_equations():
    p, q = weights(CELLS["elman"]), weights(CELLS["minimal_gated"])
    xs = np.asarray(signal(STEPS, INPUTS))
    ys, zs = run(elman(p), xs)[1], run(minimal_gated(q), xs)[1]
    h, g = np.zeros(HIDDEN), np.zeros(HIDDEN)
    (W, U, b), (V, T, d, e) = map(np.asarray, p), map(np.asarray, q)
    for x, y, z in zip(xs, ys, zs, strict=True):
        h = np.tanh(x @ W + h @ U + b)
        f = 1 / (1 + np.exp(-(x @ V[:, :HIDDEN] + g @ T[:, :HIDDEN] + d[:HIDDEN])))
        new = np.tanh(x @ V[:, HIDDEN:] + d[HIDDEN:] + f * (g @ T[:, HIDDEN:] + e))
        g = (1 - f) * new + f * g
        np.testing.assert_allclose([y, z], [h, g], rtol=1e-13)


def dense(p, part, hidden=HIDDEN):
    """The weights of flax's layer of one gate, (i, o, ...) from x and from h."""
    i, name = part
    gate = slice(i * hidden, (i + 1) * hidden)
    x = {"kernel": p.W[:, gate], "bias": p.b[gate]}
    return {f"i{name}": x, f"h{name}": {"kernel": p.U[:, gate]}}


@pytest.mark.parametrize(
    ("name", "other", "gates"),
    [
        ("gru", "GRUCell", "rzn"),
        ("minimal_gated", "MGUCell", "fn"),
        ("lstm", "OptimizedLSTMCell", "ifgo"),
        ("elman", "SimpleCell", ""),
    ],
)
def test_cells_are_those_of_flax(name, other, gates):
    linen = pytest.importorskip("flax.linen", reason="needs flax (the bench extra)")
    p = weights(CELLS[name])
    params = {}
    for part in enumerate(gates):
        params |= dense(p, part)
    if name == "elman":
        params = {"i": {"kernel": p.W, "bias": p.b}, "h": {"kernel": p.U}}
    elif name == "lstm":  # flax has its biases at h
        for g in gates:
            params[f"h{g}"]["bias"] = params[f"i{g}"].pop("bias")
    else:
        params["hn"]["bias"] = p.b_n
    there = getattr(linen, other)(HIDDEN, param_dtype=float)
    xs, h = signal(STEPS, INPUTS), jnp.zeros(HIDDEN)
    carry = (h, h) if name == "lstm" else h
    _, ys = run(CELLS[name].stepper(p), xs)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for x, y in zip(xs, ys, strict=True):
            carry, h = there.apply({"params": params}, carry, x)
            np.testing.assert_allclose(y, h, rtol=1e-12)
