"""Physics and network: equal to the physics at first, then what the physics leaves out."""

from collections import namedtuple
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from integrators import rk4
from sim import Stepper, cascade, rollout
from sim.fit import Experiment, Simulation, fit
from sim.models.duffing import Params, State, duffing
from sim.rnn import (
    StateScaling,
    corrected_field,
    corrected_step,
    correction,
    gru,
    gru_params,
    mlp,
    mlp_params,
    readout,
    state_scaling,
)
from sim.rnn import scaling as units
from tests.filters.derivatives import quick

DT, N = 0.1, 60
LINEAR = Params(1.0, 0.4, 2.0, 0.0)
START = State(0.3, -0.2)
U = 2 * np.sin(0.05 * np.arange(N) ** 1.3)
NET = mlp_params(jax.random.key(0), (3, 5, 2), gain=0.0)
PHYSICS = Partial(duffing, LINEAR)


def simulated(make, *args):
    stepper = make(*args)
    return rollout(stepper.step, stepper.init(START), jnp.asarray(U))[1]


run = jax.jit(simulated, static_argnums=0)  # as optimised: bits are compared


def physics():
    return rk4(PHYSICS, DT)


def by_field(net, scaling):
    return rk4(corrected_field(PHYSICS, correction(net, scaling)), DT)


def by_step(net, scaling):
    return corrected_step(physics(), correction(net, scaling))


@pytest.fixture(scope="module")
def scaling():
    ys = run(physics)
    rates = quick(jax.vmap(duffing, (None, None, 0, 0)))(LINEAR, 0.0, ys, jnp.asarray(U))
    return state_scaling(ys, jnp.asarray(U), rates)


@pytest.mark.parametrize("make", [by_field, by_step])
def test_a_network_that_begins_as_zero_is_the_physics(make, scaling):
    alone, both = run(physics), run(make, NET, scaling)
    jax.tree.map(np.testing.assert_array_equal, alone, both)
    moved = run(make, mlp_params(jax.random.key(0), (3, 5, 2)), scaling)
    assert np.abs(moved.position - alone.position).max() > 1e-3


@pytest.mark.parametrize("make", [by_field, by_step])
def test_gradients_both_ways_agree_with_differences(make, scaling):
    net = mlp_params(jax.random.key(1), (3, 5, 2), gain=0.1)
    flat, unravel = jax.flatten_util.ravel_pytree(net)
    along = jnp.asarray(np.random.default_rng(0).normal(size=flat.size))

    @quick
    def slopes(at):
        def loss(flat):
            return jnp.mean(simulated(make, unravel(flat), scaling).position ** 2)

        return loss(at), jax.grad(loss)(at) @ along, jax.jvp(loss, (at,), (along,))[1]

    _, back, forward = slopes(flat)
    h = 1e-5
    difference = (slopes(flat + h * along)[0] - slopes(flat - h * along)[0]) / (2 * h)
    np.testing.assert_allclose([back, forward], difference, rtol=1e-7)


def test_a_batch_of_networks_and_single_precision(scaling):
    nets = quick(jax.vmap(lambda key: mlp_params(key, (3, 5, 2))))(
        jax.random.split(jax.random.key(0), 2)
    )
    many = quick(jax.vmap(partial(simulated, by_field), (0, None)))(nets, scaling)
    alone = run(by_field, jax.tree.map(lambda x: x[1], nets), scaling)
    np.testing.assert_allclose(many.position[1], alone.position, rtol=1e-12)
    net = mlp_params(jax.random.key(0), (3, 5, 2), dtype="float32")
    y = State(np.float32(0.1), np.float32(0.2))
    field = corrected_field(PHYSICS, correction(net, scaling))
    assert {leaf.dtype for leaf in field(0.0, y, np.float32(1))} == {jnp.dtype("float32")}


def test_the_correction_is_in_the_units_of_the_state():
    net = ((jnp.eye(3, 2), jnp.zeros(2)),)
    scaling = StateScaling(*map(jnp.asarray, ([1.0, 2.0], [2.0, 4.0], [0.0], [1.0], [10.0, 100.0])))
    found = correction(net, scaling)(
        {"a": jnp.asarray(3.0), "b": jnp.asarray(6.0)}, jnp.asarray(0.0)
    )
    assert (float(found["a"]), float(found["b"])) == (10.0, 100.0)


def test_physics_inside_what_a_network_does():
    # `cascade` is all it takes: a plant, and a network that bends what a sensor sees of it.
    gru_, W = gru_params(jax.random.key(0), 2, 4), jnp.ones((4, 1))

    @quick
    def both():
        plant, net = physics(), readout(gru(gru_), W, jnp.zeros(1))
        sensor = Stepper(lambda _=None: (), lambda c, y: (c, jnp.stack([y.position, y.velocity])))
        whole = cascade(plant, sensor, net)
        carry = whole.init(START, None, None)
        ys = rollout(plant.step, plant.init(START), jnp.asarray(U))[1]
        one_by_one = rollout(net.step, net.init(), jnp.stack([ys.position, ys.velocity], 1))[1]
        return rollout(whole.step, carry, jnp.asarray(U))[1], one_by_one

    np.testing.assert_allclose(*both(), rtol=1e-12)


def test_a_spring_that_a_network_learns():
    # m ẍ + c ẋ + x + N(x) = F: how the spring bends is a network, nothing else is new.
    def unknown(p, t, y, u):
        spring = y.position + mlp(p, y.position[None])[0]
        return State(y.velocity, u - LINEAR.damping * y.velocity - spring)

    true = Params(1.0, LINEAR.damping, 1.0, 0.5)
    u = jnp.asarray(np.repeat(np.random.default_rng(0).uniform(-2, 2, 40), 10))
    plant = rk4(Partial(duffing, true), DT)
    x = rollout(plant.step, plant.init(START), u)[1].position
    objective = Simulation(lambda p: rk4(Partial(unknown, p), DT), lambda p, y, u: y.position[None])
    net = mlp_params(jax.random.key(2), (1, 6, 1))
    found = fit(
        objective, net, Experiment(u, x[:, None]), states=START, free_states=False, steps=40
    )
    assert np.sqrt(2 * found.loss[-1] / len(u)) < 0.02  # of the deviation of the record
    x = jnp.linspace(*jnp.quantile(x, jnp.array([0.02, 0.98])), 9)
    np.testing.assert_allclose(mlp(found.params, x[:, None])[:, 0], 0.5 * x**3, atol=0.1)


def test_what_never_changes_keeps_its_unit():
    # The standard deviation of 0.1, 0.1, … is 3e-17, not 0.
    x = jnp.full((100, 1), 0.1)
    by = units(Experiment(x, x))
    assert (by.u_scale, by.y_scale) == (1, 1) and abs(by.y_mean - 0.1) < 1e-15
    assert state_scaling(x, x.astype("float32"), x)[1::2] == (1, 1)
    found = fit(
        Simulation(lambda p: Stepper(lambda: (), lambda c, u: (c, p * u))),
        2.0,
        Experiment(x, x),
        states=None,
        steps=0,
    )
    assert abs(found.loss[0] - 0.5) < 1e-9  # of 100 errors of 0.1


def test_a_step_of_a_state_that_has_a_y_of_its_own():
    Point = namedtuple("Point", "x y")
    half = Stepper(lambda s: s, lambda s, u: 2 * (Point(s.x / 2, s.y / 2),))
    stepper = corrected_step(half, lambda s, u: Point(s.y, u))
    end, ys = stepper.step(stepper.init(Point(2.0, 4.0)), 1.0)
    assert end == ys == Point(5.0, 3.0)


def test_mistakes_are_one_line(scaling):
    y, u = State(jnp.asarray(0.0), jnp.asarray(0.0)), jnp.asarray(1.0)
    wide = mlp_params(jax.random.key(0), (3, 5, 3))
    for call, line in [
        (lambda: correction(NET, None), "scaling: expected a StateScaling, got NoneType"),
        (
            lambda: correction(NET, scaling)(y, None),
            "u: expected 1 numbers, as the scaling has, got 0",
        ),
        (
            lambda: correction(NET, scaling)(u, u),
            "y: expected 2 numbers, as the scaling has, got 1",
        ),
        (
            lambda: correction(wide, scaling)(y, u),
            "net: expected 2 outputs, one for each state, got 3",
        ),
        (
            lambda: corrected_field(PHYSICS, lambda y, u: 0.0)(0.0, y, u),
            "correction: expected the structure",
        ),
        (
            lambda: corrected_field(lambda t, y, u: y, lambda y, u: y[:1])(0.0, jnp.ones(3), u),
            "correction: expected the shapes [(3,)], got [(1,)]",
        ),
        (
            lambda: corrected_step(
                Stepper(jnp.asarray, lambda c, x: (c, (c, c))), lambda y, u: (y, y)
            ).step(u, u),
            "stepper: expected one that emits its state *, got (*, *)",
        ),
    ]:
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value).startswith(line) and "\n" not in str(raised.value), raised.value
