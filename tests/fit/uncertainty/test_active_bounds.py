"""A parameter at an active bound: how it is reported, for any start and constraint."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, t

from filters import Gaussian, LinearGaussian, kalman
from sim import Stepper
from sim.fit import Experiment, Prediction, Simulation, bands, fit, profile
from sim.fit.result import ActiveBound

X = np.linspace(-1, 1, 60)
Y = 1 - 0.05 * X + 0.1 * np.random.default_rng(1).normal(size=60)


def line(p):
    return Stepper(lambda: jnp.zeros(()), lambda c, u: (c, (p["a"] + p["b"] * u)[None]))


def filtered(p):
    """The same line, seen by a filter of next to no state, its noise known."""
    one = jnp.eye(1)
    filter = kalman(LinearGaussian(0 * one, 1e-12 * one, one, 0.01 * one))
    return Stepper(filter.init, lambda c, x: filter.step(c, (x[0] - p["a"] - p["b"] * x[1])[None]))


def squares(b):
    """What the offset leaves where |slope| is b, on the side that the records speak against."""
    return np.sum((Y - b * X - np.mean(Y)) ** 2)


def end(rise):
    """Where the sum of squares has risen by so much from its bound."""
    return brentq(lambda b: squares(b) - squares(0) - rise, 0, 1)


@pytest.mark.parametrize(
    "bounds, start",
    [
        ((0, 1), 0.5),
        ((0, 1), 0.0),
        ((0, 1e6), 0.5),
        ((0, np.inf), 0.5),
        ((-10, 0), -0.5),
        ((-np.inf, 0), -0.1),
    ],
)
def test_an_active_bound_of_a_sum_of_squares(bounds, start):
    side = 1 if bounds[0] == 0 else -1
    e = Experiment(side * X, Y[:, None])
    result = fit(Simulation(line), {"a": 0.0, "b": start}, e, parameters={"b": bounds})
    uncertainty = result.uncertainty
    assert result.message.startswith("converged") and result.message.endswith(
        "; b is held by its bound 0"
    )
    assert uncertainty.at_bound == (ActiveBound("b", 0.0),) and not uncertainty.unidentified
    assert uncertainty.held == ("b is held by its bound 0",) and not uncertainty.open
    # The other as if it were alone, but for the degrees of freedom.
    sd = np.sqrt(squares(0) / 58 / 60)
    np.testing.assert_allclose(uncertainty.standard_error, [sd, np.nan], rtol=1e-4)
    np.testing.assert_allclose(bands(result).sd, sd, rtol=1e-4)
    assert (
        np.isnan(uncertainty.interval()[1]).all() and np.isfinite(uncertainty.interval()[0]).all()
    )
    expected = end(squares(0) * t.ppf(0.975, 58) ** 2 / 58)
    np.testing.assert_allclose(
        profile(result, "b").interval, sorted([0, side * expected]), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("start", [0.5, 0.0])
def test_an_active_bound_of_a_likelihood(start):
    e = Experiment((jnp.asarray(Y), jnp.asarray(X)), Y[:, None])
    result = fit(
        Prediction(filtered),
        {"a": 0.0, "b": start},
        e,
        parameters={"b": (0, 1)},
        states=Gaussian(np.zeros(1), np.zeros((1, 1))),
    )
    assert result.message.startswith("converged") and result.message.endswith(
        "; b is held by its bound 0"
    )
    uncertainty = result.uncertainty
    np.testing.assert_allclose(uncertainty.standard_error, [0.1 / np.sqrt(60), np.nan], rtol=1e-4)
    assert not uncertainty.open
    expected = end(0.01 * chi2.ppf(0.95, 1))
    np.testing.assert_allclose(profile(result, "b").interval, [0, expected], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("start", [0.5, 1.0])
def test_a_bound_far_from_what_the_records_say(start):
    """b is 5 in them and at most 1: rounding leaves no way to the bound, and the loss is steep."""
    y = 5 * X + Y
    e = Experiment(X, y[:, None])
    result = fit(Simulation(line), {"a": 0.0, "b": start}, e, parameters={"b": (0, 1)})
    assert result.message.endswith("; b is held by its bound 1")

    def left(b):
        return np.sum((y - b * X - np.mean(y)) ** 2)

    end = brentq(lambda b: left(b) - left(1) * (1 + t.ppf(0.975, 58) ** 2 / 58), 0, 1)
    np.testing.assert_allclose(profile(result, "b").interval, [end, 1], rtol=1e-3)


def test_a_bound_many_standard_errors_away_is_not_active():
    e = Experiment(X, (Y + 0.1 * X)[:, None])
    wide = fit(Simulation(line), {"a": 0.0, "b": 0.5}, e, parameters={"b": (0, 1e6)})
    free = fit(Simulation(line), {"a": 0.0, "b": 0.5}, e)
    assert wide.uncertainty.held == () and "bound" not in wide.message
    np.testing.assert_allclose(
        wide.uncertainty.standard_error, free.uncertainty.standard_error, rtol=1e-4
    )
    below = fit(Simulation(line), {"a": 0.0, "b": 0.5}, e, parameters={"b": (-np.inf, 5.0)})
    got, expected = profile(below, "b"), profile(free, "b")
    np.testing.assert_allclose(got.interval, expected.interval, rtol=1e-3)
    assert (np.diff(got.value) > 0).all()
