"""Recurrent networks: training steps beside torch, flax and equinox; layers; linear recurrences."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid

from benchmarks.measure import Timed, Work, close, compile_run
from sim import rollout
from sim.rnn import (
    gru,
    gru_params,
    initialize_carry,
    layers,
    lru,
    lru_parallel,
    lru_params,
    lstm,
    lstm_params,
)

CELLS = {"gru": (gru, gru_params), "lstm": (lstm, lstm_params)}
STEPS, BATCH, DEPTH = 500, 32, 2


def network(kind, hidden, depth, batch, steps):
    """Parameters of equal layers, and an input of the same width, in float32."""
    keys = jax.random.split(jax.random.key(0), depth)
    params = tuple(CELLS[kind][1](key, hidden, hidden, dtype=jnp.float32) for key in keys)
    noise = np.random.default_rng(0)
    # With biases of zero, swapped gradients would not show.
    params = jax.tree.map(lambda p: p + 0.1 * noise.normal(size=p.shape).astype(p.dtype), params)
    return params, jnp.asarray(noise.normal(size=(steps, batch, hidden)), jnp.float32)


def written_out(kind, params, xs):
    """Ours: the layers in one step."""
    stepper = layers(*map(CELLS[kind][0], params))
    return rollout(stepper.step, initialize_carry(stepper, xs.shape[1:-1]), xs)[1]


def layers_in_step(kind, params, xs):
    """A loop over the layers inside the step."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
    rest = initialize_carry(CELLS[kind][0](params[0]), xs.shape[1:-1])
    rest = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(params)), rest)

    def layer(x, params_carry):
        carry, y = CELLS[kind][0](params_carry[0]).step(params_carry[1], x)
        return y, carry

    def step(carry, x):
        y, carry = rollout(layer, x, (stacked, carry))
        return carry, y

    return rollout(step, rest, xs)[1]


def layer_by_layer(kind, params, xs):
    """One layer after the other, with the input products of all times at once."""
    assert kind == "gru"
    for p in params:
        n = len(p.U)

        def step(h, of_x, p=p, n=n):
            of_h = h @ p.U
            r, z = jnp.split(sigmoid(of_x[..., : 2 * n] + of_h[..., : 2 * n]), 2, axis=-1)
            new = jnp.tanh(of_x[..., 2 * n :] + r * (of_h[..., 2 * n :] + p.b_n[None]))
            h = new + z * (h - new)
            return h, h

        xs = rollout(step, initialize_carry(gru(p), xs.shape[1:-1]), xs @ p.W + p.b[None, None])[1]
    return xs


def python_loop(kind, params, xs):
    """A Python loop: every step is written out for the compiler."""
    stepper = layers(*map(CELLS[kind][0], params))
    carry, ys = initialize_carry(stepper, xs.shape[1:-1]), []
    for x in xs:
        carry, y = stepper.step(carry, x)
        ys.append(y)
    return jnp.stack(ys)


def loss_and_gradients(outputs, kind, params, xs):
    def loss(params):
        return (outputs(kind, params, xs) ** 2).mean()

    return jax.value_and_grad(loss)(params)


def train(kind, hidden, batch=BATCH, steps=STEPS):
    """Forward and backward through two layers."""
    params, xs = network(kind, hidden, DEPTH, batch, steps)

    def compile_loss(outputs):
        return compile_run(partial(loss_and_gradients, outputs, kind), params, xs)

    def torch():
        from benchmarks.peers.torch_rnn import train as torch_train

        return torch_train(kind, params, xs)

    def flax():
        from benchmarks.peers.flax_rnn import outputs

        return compile_loss(outputs)

    def equinox():
        from benchmarks.peers.equinox_rnn import outputs

        return compile_loss(outputs)

    return Work(
        unit="ms",
        scale=1e3,
        ours=partial(compile_loss, written_out),
        peers={"torch": torch, "flax": flax, "equinox": equinox},
        compare=close(1e-3),
    )


WAYS = {"nested": layers_in_step, "hoisted": layer_by_layer, "python": python_loop}


def layer_loops(hidden, depth, steps=40):
    """Several ways to run layers through time, forward and backward."""
    params, xs = network("gru", hidden, depth, BATCH, steps)

    def compile_loss(outputs):
        return compile_run(partial(loss_and_gradients, outputs, "gru"), params, xs)

    return Work(
        unit="ms",
        scale=1e3,
        ours=partial(compile_loss, written_out),
        peers={name: partial(compile_loss, outputs) for name, outputs in WAYS.items()},
        compare=close(1e-3),
    )


def layer_compile_time(hidden, depth, steps=40):
    """Compile time of the same, in seconds."""
    params, xs = network("gru", hidden, depth, BATCH, steps)

    def compile_loss(outputs):
        def run():
            jax.clear_caches()
            program = jax.jit(partial(loss_and_gradients, outputs, "gru"))
            tic = time.perf_counter()
            program = program.lower(params, xs).compile()
            return Timed(time.perf_counter() - tic, program(params, xs))

        return run

    return Work(
        unit="s",
        scale=1.0,
        ours=partial(compile_loss, written_out),
        peers={name: partial(compile_loss, outputs) for name, outputs in WAYS.items()},
        compare=close(1e-3),
    )


def linear(hidden=64, batch=8, steps=2000):
    """A linear recurrent unit step by step, and by an associative scan; forward and backward."""
    params = lru_params(jax.random.key(0), hidden, hidden, dtype=jnp.float32)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, hidden), jnp.float32)

    def sequential(p, rest):
        return rollout(lru(p).step, rest, xs)[1]

    def associative(p, rest):
        return lru_parallel(p, rest, xs)[1]

    def compile_loss(outputs):
        def loss(p):
            return (outputs(p, initialize_carry(lru(p), batch)) ** 2).mean()

        return compile_run(jax.value_and_grad(loss), params)

    return Work(
        unit="ms",
        scale=1e3,
        ours=partial(compile_loss, sequential),
        peers={"associative": partial(compile_loss, associative)},
        compare=close(1e-3),
    )


ROWS = {
    **{
        f"rnn.{kind}_h{hidden}": partial(train, kind, hidden)
        for kind in CELLS
        for hidden in (8, 64, 256)
    },
    "rnn.gru_h8_b1": partial(train, "gru", 8, 1),
    "rnn.layers_h8": partial(layer_loops, 8, 2),
    "rnn.layers_h64": partial(layer_loops, 64, 2),
    "rnn.layers_h64_l8": partial(layer_loops, 64, 8),
    "rnn.layers_h256": partial(layer_loops, 256, 2),
    "rnn.layers_compile": partial(layer_compile_time, 64, 2),
    "rnn.lru": linear,
}
