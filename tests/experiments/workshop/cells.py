"""A network is one file."""

import jax
import jax.numpy as jnp

from experiments.learn.networks import Network
from sim import Stepper


def leaky() -> Network:
    """One leaky integrator of all inputs."""

    def start(key, inputs, outputs, records):
        return {
            "leak": jnp.asarray(0.5),
            "entry": 0.1 * jax.random.normal(key, (inputs,)),
            "offset": jnp.zeros(outputs),
        }

    def stepper(p):
        def step(h, u):
            h = p["leak"] * h + u @ p["entry"]
            return h, h + p["offset"]

        return Stepper(lambda h=0.0: jnp.asarray(h, p["leak"].dtype), step)

    return Network("leaky integrator", start, stepper)
