"""Errors that a caller tells apart by their type. Each of them is a ValueError."""

import jax
import jax.numpy as jnp
import numpy as np


class NoForwardMode(ValueError):
    """The model has no forward-mode derivative."""


class TooFewSamples(ValueError):
    """The samples and the priors together are fewer than the unknowns."""


class DivergenceError(ValueError):
    """A run of the model does not stay finite."""


def divergence_error(problem, z, message: str) -> ValueError:
    """The error for a run from z that does not stay finite.

    Returns:
        A `ValueError` that names the first input that is not finite, if there is one; else a
        `DivergenceError` with the message.
    """
    for i, (_, e) in enumerate(problem.per_experiment(z)[1]):
        for leaf in jax.tree.leaves(e.xs):
            if jnp.issubdtype(leaf.dtype, jnp.inexact):
                bad = ~np.isfinite(np.asarray(leaf).reshape(len(leaf), -1)).all(axis=1)
                if bad.any():
                    return ValueError(
                        f"experiments[{i}].xs: expected finite inputs, got {bad.sum()} of "
                        f"{len(bad)} that are not, first at {np.argmax(bad)}"
                    )
    return DivergenceError(message)
