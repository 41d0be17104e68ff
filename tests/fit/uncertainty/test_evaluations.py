"""A finished fit keeps its linearisation: nothing evaluates the model again at its minimum."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from filters import Gaussian, LinearGaussian, diffuse_kalman
from sim import Stepper
from sim.fit import (
    Experiment,
    Huber,
    Prediction,
    Prior,
    Simulation,
    bands,
    coloured_uncertainty,
    fit,
    profile,
)
from sim.fit.problem import quadratic_model
from sim.fit.uncertainty import covariance, robust_covariance


def decay(p):
    """s' = a s + b, of which s is observed."""
    return Stepper(jnp.asarray, lambda s, _: 2 * (p["a"] * s + p["b"],))


@pytest.fixture
def evaluated(monkeypatch):
    """Every z at which the model is linearised, in order."""
    places = []

    def record(module, name):
        function = getattr(module, name)

        def recording(problem, z):
            places.append(np.asarray(z))
            return function(problem, z)

        monkeypatch.setattr(module, name, recording)

    for module in (quadratic_model, covariance, robust_covariance):
        record(module, "linearise")
    record(quadratic_model, "curvature")
    return places


@pytest.mark.parametrize(
    "robust, solver, kinds",
    [
        (None, None, {"a": (0.0, 1.0)}),
        (Huber(), None, None),
        (None, optax.lbfgs(), {"a": Prior(0.7, 0.1)}),
    ],
)
def test_a_sum_of_squares_is_not_linearised_again(evaluated, robust, solver, kinds):
    y = 1 - 0.8 ** np.arange(1, 41.0) + np.random.default_rng(0).normal(0, 0.01, 40)
    result = fit(
        Simulation(decay, robust=robust),
        {"a": 0.5, "b": 0.1},
        Experiment(None, y[:, None]),
        parameters=kinds,
        states=0.0,
        free_states=False,
        solver=solver,
    )
    evaluated.clear()
    bands(result)
    coloured_uncertainty(result)
    assert not evaluated
    profile(result, "b", [1.01 * float(result.params["b"])])
    assert evaluated and not any(np.array_equal(z, result.minimum) for z in evaluated)


def level(p):
    one = jnp.eye(1)
    return diffuse_kalman(LinearGaussian(one, p["level"][None], one, p["noise"][None]))


@pytest.mark.parametrize("solver", [None, optax.lbfgs()])
def test_a_likelihood_is_not_linearised_again(evaluated, solver):
    rng = np.random.default_rng(0)
    y = jnp.asarray(np.cumsum(rng.normal(size=60)) + rng.normal(size=60))[:, None]
    result = fit(
        Prediction(level),
        {"noise": 1.0, "level": 1.0},
        Experiment(y, y),
        parameters={"noise": "positive", "level": "positive"},
        states=Gaussian(np.zeros(1), np.zeros((1, 1))),
        solver=solver,
    )
    evaluated.clear()
    bands(result)
    assert not evaluated
    profile(result, "noise", [1.01 * float(result.params["noise"])])
    assert evaluated and not any(np.array_equal(z, result.minimum) for z in evaluated)
