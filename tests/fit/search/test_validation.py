"""What a validation counts: the error of the free run on it, and nothing else."""

import jax.numpy as jnp
import numpy as np

from sim import Stepper
from sim.fit import Experiment, Prior, Simulation, fit


def gain(p):
    return Stepper(lambda: (), lambda carry, u: (carry, p["a"] * u + p["b"]))


def test_no_prior_and_no_weight_of_the_training_counts_in_a_validation():
    """The search weighs errors by the noise it finds; what it watches stays comparable."""
    rng = np.random.default_rng(0)

    def noisy(slope):
        u = rng.normal(size=60)
        return Experiment(
            jnp.asarray(u), jnp.asarray(slope * u + 0.1 * rng.normal(size=60))[:, None]
        )

    training, other = noisy(2.0), noisy(1.5)
    kinds = {"a": Prior(0.0, 0.1), "b": Prior(3.0, 0.1)}
    found = fit(
        Simulation(gain), {"a": 0.5, "b": 0.5}, training, parameters=kinds, validation=other
    )
    assert len(found.validation) > 5 and found.search.round > 0
    place = np.argmin(found.validation)
    errors = np.asarray(other.y)[:, 0] - (
        found.params["a"] * np.asarray(other.xs) + found.params["b"]
    )
    expected = 0.5 * np.sum(errors**2) / np.var(np.asarray(training.y))
    np.testing.assert_allclose(found.validation[place], expected)
