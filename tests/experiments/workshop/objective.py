"""An objective is one class."""

from dataclasses import dataclass

import jax.numpy as jnp


@dataclass(frozen=True)
class LogErrors:
    """The errors of the logarithm of a decay."""

    robust: None = None
    is_likelihood: bool = False

    def errors(self, p, x0, e):
        return jnp.log(e.y) + p["rate"] * jnp.arange(1.0 * len(e.y))[:, None], x0
