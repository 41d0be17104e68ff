"""Robust losses: gross errors move nothing, and clean records lose little."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import least_squares

from sim import Stepper, rollout
from sim.fit import (
    Experiment,
    GaussNewton,
    Huber,
    Simulation,
    StudentT,
    Truncated,
    bands,
    coloured,
    fit,
    profile,
)

U = np.random.default_rng(0).normal(size=400)
TRUTH = {"a": 0.8, "b": 0.5}


def lag(p):
    """s' = a s + b u."""
    return Stepper(jnp.asarray, lambda s, u: 2 * (p["a"] * s + p["b"] * u,))


def observe(p, y, u):
    return jnp.atleast_1d(y)


@jax.jit
def outputs(a, b):
    return rollout(lag({"a": a, "b": b}).step, jnp.zeros(()), jnp.asarray(U))[1]


def record(outliers, seed=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    y = np.asarray(outputs(0.8, 0.5)) + 0.1 * rng.normal(size=400)
    y[rng.choice(400, int(outliers * 400), replace=False)] = 10.0
    y[::50] = np.nan
    return Experiment(U.astype(dtype), y[:, None].astype(dtype))


def fit_record(e, robust, objective=lambda s: s, **kwargs):
    kind = e.y.dtype.type
    start = {"a": kind(0.5), "b": kind(1.0)}
    return fit(
        objective(Simulation(lag, observe, robust=robust)),
        start,
        e,
        states=kind(0),
        free_states=False,
        **kwargs,
    )


@pytest.mark.parametrize("robust", [Huber(), StudentT()])
def test_gross_errors_move_the_squares_and_not_the_robust_loss(robust):
    e = record(0.05)
    off, found = fit_record(e, None), fit_record(e, robust)
    for name, true in TRUTH.items():
        assert abs(found.params[name] - true) < 0.03 < abs(off.params["b"] - 0.5)
    low, high = found.uncertainty.interval(0.99).T
    assert ((low < [0.8, 0.5]) & (high > [0.8, 0.5])).all()
    assert 0.08 < found.noise[0] < 0.13 < 1 < off.noise[0]
    clean = fit_record(record(0.0), None).uncertainty.standard_error
    assert (
        (found.uncertainty.standard_error / clean > 0.9)
        & (found.uncertainty.standard_error / clean < 1.4)
    ).all()
    np.testing.assert_allclose(
        coloured(found).standard_error, found.uncertainty.standard_error, rtol=0.25
    )
    assert bands(found).sd.max() < 0.05
    # Near its minimum the robust loss is a parabola as that of the squares it stands for.
    own = found.uncertainty.interval()[1]
    np.testing.assert_allclose(profile(found, "b").interval, own, atol=0.15 * np.ptp(own))


def test_the_estimate_is_that_of_scipy():
    e = record(0.05)
    found = fit_record(e, Huber(1.5), tolerance=1e-15)
    y = np.asarray(e.y)[:, 0]
    there = np.isfinite(y)
    scale = 1.5 / float(found.problem.weights[0])
    theirs = least_squares(
        lambda x: (y - np.asarray(outputs(*x)))[there],
        [0.5, 1.0],
        loss="huber",
        f_scale=scale,
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    np.testing.assert_allclose([found.params["a"], found.params["b"]], theirs.x, rtol=1e-6)
    np.testing.assert_allclose(
        found.loss[-1], theirs.cost * found.problem.weights[0] ** 2, rtol=1e-9
    )


def test_a_clean_record_costs_five_percent_of_efficiency():
    """The scatter of 60 estimates beside that of the squares, and the standard errors' own word."""
    found = [
        [fit_record(record(0.0, seed), robust, tolerance=1e-6) for robust in (Huber(), None)]
        for seed in range(60)
    ]
    b = np.array([[one.params["b"] for one in pair] for pair in found]) - 0.5
    told = np.mean([[one.uncertainty.standard_error[1] for one in pair] for pair in found], axis=0)
    assert 1.0 < (told[0] / told[1]) ** 2 < 1.12
    assert 0.9 < (b[:, 0] @ b[:, 0]) / (b[:, 1] @ b[:, 1]) < 1.25


def test_every_solver_finds_it():
    e = record(0.05)
    best = fit_record(e, Huber()).params["b"]
    assert abs(fit_record(e, Huber(), solver=GaussNewton()).params["b"] - best) < 1e-3
    assert abs(fit_record(e, Huber(), solver=optax.lbfgs()).params["b"] - best) < 1e-3
    windows = fit_record(e, Huber(), lambda s: Truncated(s, 100), solver=optax.adam(0.02), steps=60)
    assert abs(windows.params["b"] - best) < 0.05
    single = fit_record(record(0.05, dtype=np.float32), Huber())
    assert abs(single.params["b"] - best) < 1e-3 and single.params["b"].dtype == np.float32


@pytest.mark.parametrize("make", [Huber, StudentT])
def test_a_width_of_nothing_is_refused(make):
    with pytest.raises(ValueError, match="expected a number above 0, got -1"):
        make(-1.0)


@pytest.mark.parametrize("robust", [Huber(), StudentT()])
def test_slopes_are_those_of_differences(robust):
    r = jnp.array([-3.0, -1.0, -1e-9, 0.0, 0.5, 4.0])
    slope = jax.vmap(jax.grad(lambda r: robust(r)))(r)
    np.testing.assert_allclose(slope, (robust(r + 1e-6) - robust(r - 1e-6)) / 2e-6, atol=1e-6)
