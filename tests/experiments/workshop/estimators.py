"""An estimator is one file."""

import jax.numpy as jnp

from experiments.estimate.estimators import Estimator
from filters import Gaussian, LinearGaussian, kalman
from sim.models import Quantity


def drifting_level(y, drift: float = 0.0) -> Estimator:
    """A level with noise that is known to rise by ``drift`` in a step."""
    one = jnp.eye(1)
    filter_ = kalman(LinearGaussian(F=one, H=one, Q=0.1 * one, R=one, b=jnp.array([drift])))
    level = {"level": Quantity("1", "level")}
    observed = {"observed": Quantity("1", "observed level")}
    return Estimator(filter_, Gaussian(jnp.zeros(1), 100 * one), level, observed)
