"""Recurrent networks of equinox with our weights: a scan over time for each layer."""

import equinox
import jax
import jax.numpy as jnp

CELLS = {"gru": equinox.nn.GRUCell, "lstm": equinox.nn.LSTMCell}


def outputs(kind, params, xs):
    """The output of the last layer, (N, batch, hidden)."""
    for p in params:
        xs = _layer(kind, p, xs)
    return xs


def _layer(kind, p, xs):
    inputs, hidden = p.W.shape[0], p.U.shape[0]
    cell = CELLS[kind](inputs, hidden, dtype=p.W.dtype, key=jax.random.key(0))
    names = ["weight_ih", "weight_hh", "bias", *(["bias_n"] if kind == "gru" else [])]
    cell = equinox.tree_at(
        lambda m: [getattr(m, name) for name in names], cell, [p.W.T, p.U.T, *p[2:]]
    )
    rest = jnp.zeros((xs.shape[1], hidden), xs.dtype)

    def step(carry, x):
        carry = jax.vmap(cell)(x, carry)
        return carry, carry[0] if kind == "lstm" else carry

    return jax.lax.scan(step, (rest, rest) if kind == "lstm" else rest, xs)[1]
