"""Profiles and bands against the exact intervals of linear models, and for nonlinear ones."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import t

from sim import Stepper
from sim.fit.problem.objectives import Simulation
from sim.fit.search.fit import fit
from sim.fit.uncertainty.bands import bands
from sim.fit.uncertainty.profile_likelihood import profile
from sim.records.experiment import Experiment


def sums(p):
    """s' = s + b u, seen with an offset: linear in b, in the offset and in the first state."""
    return Stepper(jnp.asarray, lambda s, u: 2 * (s + p["b"] * u,))


LINE = Simulation(sums, lambda p, y, u: (y + p["offset"][1] * u)[None])


def decay(p):
    return Stepper(jnp.asarray, lambda s, _: 2 * (p["a"] * s,))


@pytest.fixture(scope="module")
def line():
    rng = np.random.default_rng(0)
    u = rng.normal(size=(2, 30))
    records = []
    for k, n in enumerate((30, 20)):
        y = 1 + 0.7 * np.cumsum(u[k, :n]) + 0.3 * u[k, :n] + 0.1 * rng.normal(size=n)
        records.append(Experiment(jnp.asarray(u[k, :n]), jnp.asarray(y)[:, None], jnp.ones(1)))
    start = {"b": 0.5, "offset": jnp.array([0.0, 0.1])}
    return records, fit(LINE, start, records, states=0.5, parameters={"b": "positive"})


@pytest.fixture(scope="module")
def bent():
    """A decay of which few samples are above the noise: an interval that is not symmetric."""
    rng = np.random.default_rng(1)
    y = 0.3 ** np.arange(1.0, 9.0) + 0.08 * rng.normal(size=8)
    e = Experiment(None, jnp.asarray(y)[:, None])
    return fit(
        Simulation(decay),
        {"a": 0.5},
        e,
        states=1.0,
        free_states=False,
        parameters={"a": (0.0, 1.0)},
    )


def test_the_profile_of_a_linear_model_is_its_interval(line):
    _, result = line
    for name in ("b", "states[1]", "offset[1]"):
        expected = result.uncertainty.interval(0.9)[result.uncertainty.names.index(name)]
        got = profile(result, name, level=0.9)
        np.testing.assert_allclose(got.interval, expected, rtol=2e-4)
        assert (np.diff(got.value) > 0).all() and got.loss.min() == got.loss[len(got.loss) // 2]
    # What moves nothing has no ends.
    assert profile(result, "offset[0]").interval.tolist() == [-np.inf, np.inf]


def test_the_profile_of_a_nonlinear_model_ends_where_the_loss_reaches_its_bound(bent):
    got = profile(bent, "a", [0.1, 0.2, 0.4, 0.5, 0.55])
    y = np.asarray(bent.problem.groups[0].y)[0, :, 0]
    weight = float(bent.problem.weights[0])
    a = np.linspace(0.01, 0.8, 5000)[:, None]
    loss = 0.5 * weight**2 * np.sum((y - a ** np.arange(1, 9)) ** 2, axis=1)
    at = [np.interp(v, a[:, 0], loss) for v in got.value]
    np.testing.assert_allclose(got.loss, at, rtol=1e-4)
    inside = a[loss <= loss.min() * (1 + t.ppf(0.975, 7) ** 2 / 7), 0]
    walked = profile(bent, "a")
    np.testing.assert_allclose(walked.interval, [inside[0], inside[-1]], atol=5e-3)
    low, high = np.abs(walked.interval - bent.uncertainty.value[0])
    assert low > 1.03 * high or high > 1.03 * low


def test_a_profile_ends_at_a_single_bound(line):
    records, _ = line
    start = {"b": 0.5, "offset": jnp.array([0.0, 0.1])}
    result = fit(LINE, start, records, states=0.5, parameters={"offset": (-0.5, np.inf)})
    assert profile(result, "offset[0]").interval.tolist() == [-0.5, np.inf]


def test_a_band_is_that_of_a_linear_regression(line):
    """b is searched by its logarithm: to first order that changes nothing."""
    records, result = line
    rows = []
    for k, e in enumerate(records):
        u = np.asarray(e.xs)
        state_columns = np.tile(np.eye(2)[k], (len(u) + 1, 1))
        rows.append(np.column_stack([np.r_[0, np.cumsum(u)], np.r_[u[0], u], state_columns]))
    X = np.concatenate(rows)
    y = np.concatenate([np.r_[e.y0, e.y[:, 0]] for e in records])
    solved, squares = np.linalg.lstsq(X, y)[:2]
    # The parameter that has no effect is counted, as any other.
    cov = squares / (len(y) - 5) * np.linalg.inv(X.T @ X)
    band = bands(result, 1)
    np.testing.assert_allclose(band.simulated[:, 0], rows[1] @ solved, atol=1e-5)
    sd = np.sqrt(np.sum(rows[1] @ cov * rows[1], axis=1))
    np.testing.assert_allclose(band.sd[:, 0], sd, rtol=1e-4)
    np.testing.assert_allclose(
        band.interval(0.9)[1] - band.simulated, t.ppf(0.95, len(y) - 5) * band.sd
    )
    # Another record, from a state that is known.
    known = rows[1][:, :2]
    sd = np.sqrt(np.sum(known @ cov[:2, :2] * known, axis=1))
    np.testing.assert_allclose(bands(result, records[1], 1.0).sd[:, 0], sd, rtol=1e-4)


def test_mistakes_are_named(line, bent):
    records, result = line
    with pytest.raises(ValueError, match="name: there is no 'c'"):
        profile(result, "c")
    with pytest.raises(ValueError, match="values: a: expected a start between its bounds"):
        profile(bent, "a", [0.5, 1.5])
    with pytest.raises(ValueError, match="experiment: expected a number below 2"):
        bands(result, 2)
