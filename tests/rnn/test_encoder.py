"""The state at the start of a record, from its first samples and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper, rollout
from sim.fit import Experiment, Simulation, fit, sampled
from sim.rnn import Scaling, encoder, encoder_params, seen
from tests.filters.derivatives import quick

A, B = jnp.array([[0.97, 0.2], [-0.2, 0.97]]), jnp.array([0.0, 0.1])
SEEN = 4


def model(p):
    """A slow oscillation, of which the first state is measured; a linear encoder is exact."""
    return Stepper(jnp.asarray, lambda s, u: 2 * (p["A"] @ s + B * u,))


def observe(p, s, u):
    return s[:1]


OBJECTIVE = Simulation(model, observe, lambda p, window: encoder(p["encoder"], window))


@quick
def run(s, u):
    return rollout(model({"A": A}).step, s, u)[1]


def recorded(seed):
    rng = np.random.default_rng(seed)
    u = jnp.asarray(rng.normal(size=30))
    ys = run(jnp.asarray(rng.normal(size=2)), u)
    return seen(Experiment(u, ys[:, :1]), SEEN)


@pytest.fixture(scope="module")
def found():
    windows, rest = zip(*map(recorded, range(12)), strict=True)
    start = {"A": A + 0.05, "encoder": encoder_params(jax.random.key(0), windows[0], 2, ())}
    return fit(OBJECTIVE, start, rest, states=list(windows), free_states=False, steps=25)


def test_it_learns_where_other_records_begin(found):
    simulated = quick(lambda p, window, e: OBJECTIVE.run(p, window, e)[1])
    for seed in (100, 101):
        window, e = recorded(seed)
        error = simulated(found.params, window, e) - e.y
        assert np.sqrt(np.mean(error**2)) < 1e-3 * np.std(e.y)
        # Of its own outputs the simulation has seen the first n, and no other.
        blind = e._replace(y=e.y * jnp.nan)
        np.testing.assert_array_equal(simulated(found.params, window, blind) - e.y, error)
        other = simulated(found.params, window._replace(y=window.y + 0.1), e)
        assert np.abs(other - e.y - error).max() > 0.01


def test_the_parts_of_a_record_are_its_whole():
    t = np.arange(8) / 10
    u = {"a": jnp.asarray(t), "b": jnp.ones((8, 2))}
    window, rest = seen(sampled(t, u, t.astype("float32")), 3)
    np.testing.assert_allclose(window.u, [[0.0, 1, 1], [0.1, 1, 1], [0.2, 1, 1]], rtol=1e-6)
    np.testing.assert_allclose(window.y[:, 0], [0.1, 0.2, 0.3], rtol=1e-6)
    assert window.y.dtype == jnp.float32 and rest.y0 is None and len(rest.y) == 4
    np.testing.assert_allclose(rest.xs(0.0)["a"], [0.3, 0.4, 0.5, 0.6])
    alone = seen(Experiment(None, jnp.ones((4, 1))), 2)
    assert alone[0].u.shape == (2, 0) and alone[1].xs is None


def test_units_make_no_difference_and_types_stay():
    window = recorded(0)[0]
    by = Scaling(*(jnp.full(1, x) for x in (2.0, 3.0, 5.0, 0.1)))
    raw = window._replace(u=2 + 3 * window.u, y=5 + 0.1 * window.y)
    params = encoder_params(jax.random.key(0), window, 2)
    encode = quick(lambda params, raw: (encoder(params, raw, by), encoder(params, window)))
    np.testing.assert_allclose(*encode(params, raw), rtol=1e-9)
    narrow = jax.tree.map(lambda x: x.astype("float32"), params)
    assert encoder(narrow, window, by).dtype == jnp.float32


def test_mistakes_are_one_line():
    e = Experiment(jnp.ones((5, 1)), jnp.ones((5, 1)))
    window = seen(e, 2)[0]
    for call, line in [
        (
            lambda: seen(e, 5),
            "experiment: expected more than 5 samples, which the encoder reads, got 5",
        ),
        (lambda: seen(e, 0), "n: expected an integer of at least 1, got 0"),
        (
            lambda: seen(e._replace(y=e.y.at[1].set(jnp.nan)), 2),
            "experiment.y: expected finite numbers in the first 2 samples, which the "
            "encoder reads, got NaN in sample 1",
        ),
        (
            lambda: seen(e._replace(xs=e.xs.at[0].set(jnp.inf)), 2),
            "experiment.xs: expected finite numbers in the first 2 samples, which the "
            "encoder reads, got infinity in sample 0",
        ),
        (
            lambda: encoder(
                encoder_params(jax.random.key(0), window, 3), window._replace(y=window.y * jnp.nan)
            ),
            "window.y: expected finite numbers in the first 2 samples, which the "
            "encoder reads, got NaN in sample 0",
        ),
        (
            lambda: fit(
                OBJECTIVE,
                {"A": A},
                e,
                states=window._replace(y=window.y.at[1].set(jnp.nan)),
                free_states=False,
            ),
            "states: expected finite numbers, got y[1, 0] = nan",
        ),
        (
            lambda: encoder(encoder_params(jax.random.key(0), window, 3), seen(e, 3)[0]),
            "x: expected (..., 4), the inputs of layer 0, got shape (6,)",
        ),
    ]:
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value) == line
