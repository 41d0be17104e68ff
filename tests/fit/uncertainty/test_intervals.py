"""Intervals of parameters with bounds: symmetric in z, and within the bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper
from sim.fit import Bounded, Experiment, Free, Positive, Simulation
from sim.fit.problem.assemble import build_problem
from sim.fit.result import NoCovariance, Uncertainty, UnidentifiedParameters
from sim.fit.uncertainty.standard_errors import without_covariance


@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize(
    "kind, bounds",
    [
        (Free(), (-np.inf, np.inf)),
        (Positive(), (0.0, np.inf)),
        (Bounded(0.5, 3.0), (0.5, 3.0)),
        (Bounded(0.5, np.inf), (0.5, np.inf)),
        (Bounded(-np.inf, 3.0), (-np.inf, 3.0)),
    ],
)
def test_an_interval_is_symmetric_in_z(kind, bounds, dtype):
    value, error = np.array([0.7, 2.9], dtype), np.array([0.3, 0.2], dtype)
    z = kind.free(value)
    slope = jax.vmap(jax.grad(lambda z: kind.value(z, ())))(jnp.asarray(z))
    reach = 1.959964 * error / np.abs(slope)
    ends = [kind.value(jnp.asarray(z + side * reach), (2,)) for side in (-1, 1)]
    uncertainty = Uncertainty(("a", "b"), value, error, None, (), np.inf, np.tile(bounds, (2, 1)))
    np.testing.assert_allclose(
        uncertainty.interval(), np.sort(np.stack(ends, axis=1)), rtol=2e-6, atol=1e-6
    )


def test_an_undetermined_parameter_fills_its_range_and_one_on_a_bound_stays_there():
    bounds = np.array([[0, np.inf], [1, 3], [-np.inf, np.inf], [1, 3], [0, np.inf], [1, 3]])
    value = np.array([2.0, 2.0, 2.0, 1.0, 2.0, 2.0])
    error = np.array([np.inf, np.inf, np.inf, 0.0, np.nan, 1e9])
    uncertainty = Uncertainty(tuple("abcdef"), value, error, None, (), np.inf, bounds).interval()
    expected = [[0, np.inf], [1, 3], [-np.inf, np.inf], [1, 1], [np.nan, np.nan], [1, 3]]
    np.testing.assert_array_equal(uncertainty, expected)


def test_ranges_are_in_the_order_of_the_names():
    def model(p):
        return Stepper(lambda s: s["x"], lambda s, _: 2 * (s + p["c"] + p["L"][0, 0],))

    start = {"L": np.eye(2), "c": 1.0, "d": 1.0, "g": np.ones(2)}
    kinds = {"L": "positive_definite", "c": "fixed", "g": (0.5, 3.0)}
    es = [Experiment(None, jnp.ones((9, 1)))] * 2
    problem, z = build_problem(
        Simulation(model), start, es, kinds, {"x": 2.0}, state_kinds={"x": "positive"}
    )
    uncertainty = without_covariance(problem, z, NoCovariance(3))
    assert uncertainty.open == ("more than 3 unknowns: no covariance was computed",)
    lower = dict(zip(uncertainty.names, uncertainty.bounds[:, 0], strict=True))
    assert lower == {
        "L[0, 0]": 0,
        "L[0, 1]": -np.inf,
        "L[1, 0]": -np.inf,
        "L[1, 1]": 0,
        "d": -np.inf,
        "g[0]": 0.5,
        "g[1]": 0.5,
        "states[0].x": 0,
        "states[1].x": 0,
    }
    assert (uncertainty.bounds[:, 1] == np.where(uncertainty.bounds[:, 0] == 0.5, 3, np.inf)).all()


def test_findings_are_data_with_a_sentence_each():
    value, findings = (
        np.ones(3),
        (UnidentifiedParameters(("a", "b")), UnidentifiedParameters(("c",))),
    )
    uncertainty = Uncertainty(("a", "b", "c"), value, np.full(3, np.inf), np.eye(3), findings)
    assert uncertainty.open == (
        "a and b: the data determine only a combination of them, not each",
        "c has no effect on the outputs: the data do not determine it",
    )
    assert uncertainty.held == ()
