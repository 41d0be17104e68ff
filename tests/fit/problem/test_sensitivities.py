"""Sensitivities that are carried along equal the slopes of a forward pass."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from integrators import rk4
from sim import Stepper
from sim.fit import Experiment, Prior, Simulation, sampled
from sim.fit.problem import sensitivities
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.linearisation import linearise
from sim.rnn import mlp, mlp_params, state_space, state_space_params
from tests.filters.derivatives import quick

RNG = np.random.default_rng(0)


def both_ways(monkeypatch, problem, z):
    """A triangle of J as found, and by a forward pass."""
    used = []
    kept = sensitivities.with_sensitivities

    def count_use(*args):
        used.append(True)
        return kept(*args)

    monkeypatch.setattr("sim.fit.problem.jacobian.with_sensitivities", count_use)
    found = quick(lambda *args: linearise.__wrapped__(*args))(problem, z)
    assert used
    monkeypatch.setattr("sim.fit.problem.jacobian.is_worthwhile", lambda *args: False)
    return found, quick(lambda *args: linearise.__wrapped__(*args))(problem, z)


def same(found, forward, rtol=1e-9):
    assert np.isclose(found.loss, forward.loss, rtol=rtol)
    for a, b in (
        (found.R.T @ found.R, forward.R.T @ forward.R),
        (found.R.T @ found.q, forward.R.T @ forward.q),
    ):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * float(jnp.max(jnp.abs(b))))


def random(params, scale=0.3):
    leaves, tree = jax.tree.flatten(params)
    grown = [x + scale * RNG.normal(size=x.shape).astype(x.dtype) for x in leaves]
    return jax.tree.unflatten(tree, grown)


def test_a_network_with_missing_samples_and_two_lengths_in_single_precision(monkeypatch):
    dtype = "float32"
    p = state_space_params(jax.random.key(0), 1, 2, 2, (4,), dtype=dtype)
    p = random(p._replace(A=0.5 * p.A), 0.1)
    records = []
    for length in (9, 9, 5):
        u, y = (RNG.normal(size=(length, k)).astype(dtype) for k in (1, 2))
        records.append(Experiment(u, np.where(RNG.random(y.shape) < 0.2, np.nan, y)))
    states = np.ones(2, dtype)
    known = {"net": Prior(0.0, 1.0, None)}
    problem, z = build_problem(Simulation(state_space), p, records, known, states, True)
    monkeypatch.setattr(sensitivities, "CHUNK", 4)  # the last chunk is filled up
    same(*both_ways(monkeypatch, problem, z), 1e-4)


def field(p, t, y, u):
    return {"v": mlp(p["net"], jnp.stack([y["s"], y["v"], u]))[0] - p["c"] * y["v"], "s": y["v"]}


def physical(p):
    return rk4(Partial(field, p), 0.1)


@pytest.mark.parametrize("joined", [False, True])
def test_an_integrator_with_a_network_in_its_field_and_joined_segments(monkeypatch, joined):
    p = {"net": random(mlp_params(jax.random.key(1), (3, 6, 1))), "c": 0.3}
    t, u = 0.1 * np.arange(14), RNG.normal(size=14)
    records = [sampled(t, u, RNG.normal(size=14)) for _ in range(3)]
    if joined:
        records = [e._replace(y0=None) for e in records]
    model = Simulation(physical, lambda p, y, u: y["s"][None])
    states = {"s": 0.1, "v": -0.2}
    problem, z = build_problem(model, p, records, {"c": "positive"}, states, True)
    if joined:
        ahead = jnp.array([True, True, False])
        problem = replace(problem, join=jnp.array([2.0, 3.0]), joined=(ahead,))
    same(*both_ways(monkeypatch, problem, z))


def test_few_parameters_and_models_without_a_reverse_mode_go_forwards():
    e = Experiment(jnp.ones((50, 1)), jnp.ones((50, 1)))

    def slow(p):
        def step(s, x):
            s = jax.lax.while_loop(lambda s: s[0] > 1, lambda s: s / 2, s + jnp.sum(p) * x)
            return s, s

        return Stepper(jnp.asarray, step)

    def takes(p, model=slow):
        problem, z = build_problem(Simulation(model), p, e, None, jnp.zeros(1), False)
        at = lambda v: (problem.parameters(v), jnp.zeros(1))  # noqa: E731
        return sensitivities.is_worthwhile(problem.objective, z, at, e)

    assert not takes(jnp.ones(40))
    assert not takes(state_space_params(jax.random.key(0), 1, 1, 1, (1,)), state_space)
    assert takes(state_space_params(jax.random.key(0), 1, 1, 1, (8,)), state_space)
    problem, z = build_problem(Simulation(slow), 0.1 * np.ones(40), e, None, np.zeros(1))
    found = quick(lambda z: linearise.__wrapped__(problem, z))(z)
    assert np.isfinite(found.loss) and np.isfinite(found.R).all()
