"""Cells against equinox, torch and flax on the same weights."""

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import cont2discrete

from sim.rnn import diagonal, elman, gru, lru, lru_params, lstm, minimal_gated
from tests.rnn.zoo import CELLS, HIDDEN, INPUTS, STEPS, run, signal, weights


def leaves(module, **named):
    return equinox.tree_at(lambda m: [getattr(m, k) for k in named], module, [*named.values()])


def test_gru_is_that_of_equinox():
    p = weights(CELLS["gru"])
    other = leaves(
        equinox.nn.GRUCell(INPUTS, HIDDEN, key=jax.random.key(0)),
        weight_ih=p.W.T,
        weight_hh=p.U.T,
        bias=p.b,
        bias_n=p.b_n,
    )
    xs, h = signal(STEPS, INPUTS), jnp.zeros(HIDDEN)
    _, ys = run(gru, p, xs)
    for x, y in zip(xs, ys, strict=True):
        h = other(x, h)
        np.testing.assert_allclose(y, h, rtol=1e-13)


def test_lstm_is_that_of_equinox():
    p = weights(CELLS["lstm"])
    other = leaves(
        equinox.nn.LSTMCell(INPUTS, HIDDEN, key=jax.random.key(0)),
        weight_ih=p.W.T,
        weight_hh=p.U.T,
        bias=p.b,
    )
    xs, carry = signal(STEPS, INPUTS), (jnp.zeros(HIDDEN),) * 2
    last, ys = run(lstm, p, xs)
    for x, y in zip(xs, ys, strict=True):
        carry = other(x, carry)
        np.testing.assert_allclose(y, carry[0], rtol=1e-13)
    np.testing.assert_allclose(last.c, carry[1], rtol=1e-13)


def test_elman_and_minimal_gated_are_their_equations():
    p, q = weights(CELLS["elman"]), weights(CELLS["minimal_gated"])
    xs = signal(STEPS, INPUTS)
    ys, zs = run(elman, p, xs)[1], run(minimal_gated, q, xs)[1]
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
    _, ys = run(CELLS[name].stepper, p, xs)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for x, y in zip(xs, ys, strict=True):
            carry, h = there.apply({"params": params}, carry, x)
            np.testing.assert_allclose(y, h, rtol=1e-12)


def complex_weights(p, n=HIDDEN):
    B, C = np.asarray(p.B), np.asarray(p.C)
    return B[:, :n] + 1j * B[:, n:], C[:n] + 1j * C[n:], np.asarray(p.D)


def test_the_linear_recurrent_unit_is_its_equation():
    p = weights(CELLS["lru"])
    B, C, D = complex_weights(p)
    a = np.exp(-np.exp(p.log_decay) + 1j * np.exp(p.log_phase))
    xs, z = signal(STEPS, INPUTS), 0
    for x, y in zip(xs, run(lru, p, xs)[1], strict=True):
        z = a * z + np.exp(p.log_scale) * (x @ B)
        np.testing.assert_allclose(y, (z @ C).real + x @ D, rtol=1e-12)


def test_the_diagonal_state_space_is_the_held_continuous_one():
    # scipy's zero-order hold of each mode as a real system of two states.
    p = weights(CELLS["diagonal"])
    B, C, D = complex_weights(p)
    xs = signal(STEPS, INPUTS)
    expected = xs @ D
    for i in range(HIDDEN):
        s, w = -np.exp(float(p.log_decay[i])), float(p.frequency[i])
        A = np.array([[s, -w], [w, s]])
        b = np.stack([B[:, i].real, B[:, i].imag])
        c = np.stack([2 * C[i].real, -2 * C[i].imag], axis=1)
        F, G, *_ = cont2discrete((A, b, c, np.zeros_like(D.T)), np.exp(float(p.log_step[i])))
        z = np.zeros(2)
        for k, x in enumerate(xs):
            z = F @ z + G @ x
            expected[k] += c @ z
    np.testing.assert_allclose(run(diagonal, p, xs)[1], expected, rtol=1e-11)


def test_a_short_step_keeps_its_figures_in_float32():
    p = weights(CELLS["diagonal"])._replace(log_step=np.full(HIDDEN, np.log(1e-6)))
    held = jax.jit(lambda p: diagonal(p).step.args[0].B)
    narrow = jax.tree.map(lambda leaf: leaf.astype("float32"), p)
    np.testing.assert_allclose(held(narrow), held(p), rtol=1e-5)


def test_the_ring_is_that_which_was_asked_for():
    p = lru_params(jax.random.key(0), 1, 500, radii=(0.5, 0.8), phase=0.3)
    squared, angle = np.exp(-2 * np.exp(p.log_decay)), np.exp(p.log_phase)
    # Uniform over the area of the ring, and what white input gives a mode has variance 1.
    np.testing.assert_allclose(np.quantile(squared, [0, 0.5, 1]), [0.25, 0.445, 0.64], atol=0.03)
    np.testing.assert_allclose(np.quantile(angle, [0.5, 1]), [0.15, 0.3], atol=0.02)
    np.testing.assert_allclose(np.exp(2 * p.log_scale), 1 - squared, rtol=1e-12)
    for wrong in (
        {"radii": (0.9, 0.5)},
        {"phase": 0.0},
        {"phase": np.inf},
        {"radii": (1 - 1e-9, 1.0), "dtype": "float32"},
        {"radii": (0.0, 1e-25), "dtype": "float32"},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected "):
            lru_params(jax.random.key(0), 1, 4, **wrong)


@pytest.mark.parametrize(
    ("dtype", "radii"), [("float32", (1 - 1e-7, 1.0)), ("float16", (0.0, 1.0))]
)
def test_no_pole_of_few_digits_lies_on_the_unit_circle(dtype, radii):
    p = lru_params(jax.random.key(0), 1, 2000, radii=radii, dtype=dtype)
    assert all(np.isfinite(np.asarray(leaf, float)).all() for leaf in p)
