"""A small nonlinear system, and a small network that may learn it."""

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit import Experiment, Simulation
from sim.rnn import gru, gru_params, readout


def recorded(length, seed):
    """Two tanks of a kind: what flows in saturates, and the outflow bends; numbers near 1."""
    u = np.repeat(np.random.default_rng(seed).uniform(-1.5, 1.5, -(-length // 4)), 4)[:length]
    y, a, b = np.zeros(length), 0.0, 0.0
    for k, now in enumerate(u):
        a, b = 0.7 * a + 0.25 * np.tanh(2 * now) - 0.1 * a * b, 0.8 * b + 0.3 * a
        y[k] = 2 * b + a * b
    return Experiment(jnp.asarray(u)[:, None], jnp.asarray(y)[:, None])


def start(key, hidden, dtype=None):
    of_gru, of_W = jax.random.split(key)
    W = jax.random.normal(of_W, (hidden, 1), dtype or float) * hidden**-0.5
    return {"gru": gru_params(of_gru, 1, hidden, dtype=dtype), "W": W, "b": jnp.zeros(1, W.dtype)}


def model(p):
    return readout(gru(p["gru"]), p["W"], p["b"])


OBJECTIVE = Simulation(model)


@jax.jit
def free_run(p, e):
    return OBJECTIVE.run(p, None, e)[1]
