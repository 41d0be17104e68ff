"""Every integrator of the package: order, identities, transformations, both precisions."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from integrators import rk4, velocity_verlet
from sim import repeat, rollout
from sim.inputs import Piece
from tests.integrators.zoo import METHODS, exact, field

EACH = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def end(method, f, y0, dt, length, t0=0.0):
    stepper = method(f, dt)
    return rollout(stepper.step, stepper.init(y0, t0), length=length)[0].y


@EACH
def test_observed_order(method):
    errors = []
    for n in (64, 128) if method.order >= 4 else (256, 512):
        q, v = end(method, field, exact(jnp.asarray(0.3)), 1.0 / n, n, t0=0.3)
        q_end, v_end = exact(jnp.asarray(1.3))
        errors.append(float(jnp.hypot(q - q_end, v - v_end)))
    observed = np.log2(errors[0] / errors[1])
    assert abs(observed - method.order) < 0.15, (errors, observed)


@EACH
def test_equals_a_plain_python_loop(method):
    stepper = method(field, 0.05)
    carry = stepper.init(exact(jnp.asarray(0.0)))
    last, ys = rollout(stepper.step, carry, length=7)
    for k in range(7):
        carry, y = stepper.step(carry, None)
        np.testing.assert_allclose([ys[0][k], ys[1][k]], y, rtol=1e-14)
    assert int(last.k) == 7


@EACH
def test_input_is_read_at_every_stage_own_time(method):
    # u(t) = t³ as exact cubic pieces must equal the same field with t inside, whatever
    # the stage times are; the semi-implicit Euler method reads t and u at the start.
    dt, n = 0.1, 5
    nodes = (0.0, 0.25, 0.5, 1.0)
    k = jnp.arange(n, dtype=float)
    pieces = Piece(tuple(((k + theta) * dt) ** 3 for theta in nodes), nodes)
    driven = method(lambda t, y, u: (y[1], -jnp.sin(y[0]) + u), dt)
    timed = method(lambda t, y, u: (y[1], -jnp.sin(y[0]) + t**3), dt)
    y0 = (0.4, 0.1)
    got = rollout(driven.step, driven.init(y0), pieces)[1]
    expected = rollout(timed.step, timed.init(y0), length=n)[1]
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    # The same through `repeat`: a piece is cut, not held.
    fine = method(lambda t, y, u: (y[1], -jnp.sin(y[0]) + u), dt / 4)
    fine_timed = method(lambda t, y, u: (y[1], -jnp.sin(y[0]) + t**3), dt / 4)
    got = rollout(repeat(fine.step, 4), fine.init(y0), pieces)[1]
    expected = rollout(fine_timed.step, fine_timed.init(y0), length=4 * n)[1]
    np.testing.assert_allclose(got, np.array(expected)[:, 3::4], rtol=1e-13)


@EACH
def test_negative_dt_runs_back_in_time(method):
    n = 200
    there = end(method, field, exact(jnp.asarray(0.0)), 0.5 / n, n)
    back = end(method, field, there, -0.5 / n, n, t0=0.5)
    error = np.hypot(*(a - b for a, b in zip(back, exact(jnp.asarray(0.0)), strict=True)))
    assert error < 40 * (0.5 / n) ** method.order


@EACH
def test_gradients_forward_reverse_and_differences_agree(method):
    def loss(theta):
        f = Partial(lambda p, t, y, u: (y[1], -p[0] * jnp.sin(y[0]) + p[1] * jnp.cos(t)), theta)
        stepper = method(f, 0.1)
        ys = rollout(stepper.step, stepper.init((theta[2], 0.0)), length=10)[1]
        return jnp.sum(ys[0] ** 2)

    theta = jnp.array([1.3, 0.5, 0.8])
    reverse = jax.jit(jax.grad(loss))(theta)
    forward = jax.jit(jax.jacfwd(loss))(theta)
    fast = jax.jit(loss)
    h = 1e-6
    differences = [(fast(theta + h * e) - fast(theta - h * e)) / (2 * h) for e in jnp.eye(3)]
    np.testing.assert_allclose(reverse, forward, rtol=1e-12)
    np.testing.assert_allclose(reverse, differences, rtol=1e-7)


@EACH
def test_float32_stays_float32(method):
    y0 = tuple(np.float32(y) for y in (0.5, 0.2))
    stepper = method(lambda t, y, u: (y[1], -jnp.sin(y[0]) + u + 0.1 * t), 0.01)
    u = jnp.ones(100, jnp.float32)
    carry, ys = rollout(stepper.step, stepper.init(y0), u)
    assert {y.dtype for y in ys} == {jnp.dtype("float32")} and carry.t0.dtype == jnp.float32
    wide = rollout(stepper.step, stepper.init((0.5, 0.2)), u.astype(float))[1]
    np.testing.assert_allclose(ys, wide, atol=2e-5)


def by_hand_rk4(f, t, y, h):
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    k3 = f(t + h / 2, y + h / 2 * k2)
    k4 = f(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def by_hand_ssp_rk3(f, t, y, h):
    # Averages of Euler steps, as Shu and Osher wrote it.
    one = y + h * f(t, y)
    two = 3 / 4 * y + 1 / 4 * (one + h * f(t + h, one))
    return 1 / 3 * y + 2 / 3 * (two + h * f(t + h / 2, two))


def by_hand_semi_implicit_euler(f, t, y, h):
    q, v = y
    v = v + h * f(t, y)[1]
    return np.array([q + h * f(t, np.array([q, v]))[0], v])


def by_hand_velocity_verlet(f, t, y, h):
    q, v = y
    half = v + h / 2 * f(t, y)[1]
    q = q + h * f(t + h / 2, np.array([q, half]))[0]
    return np.array([q, half + h / 2 * f(t + h, np.array([q, half]))[1]])


HAND = {name[8:]: function for name, function in globals().items() if name.startswith("by_hand_")}


@pytest.mark.parametrize("name", HAND)
def test_equals_the_method_written_by_hand_in_numpy(name):
    stepper = METHODS[name](lambda t, y, u: (y[1] + 0.1 * t, -jnp.sin(y[0]) + jnp.cos(t)), 0.05)
    ys = rollout(stepper.step, stepper.init((0.4, 0.1), 0.3), length=20)[1]
    y = np.array([0.4, 0.1])
    for k in range(20):
        y = HAND[name](
            lambda t, y: np.array([y[1] + 0.1 * t, -np.sin(y[0]) + np.cos(t)]),
            0.3 + 0.05 * k,
            y,
            0.05,
        )
        np.testing.assert_allclose([ys[0][k], ys[1][k]], y, rtol=1e-13)


PEERS = {
    "euler": diffrax.Euler,
    "midpoint": diffrax.Midpoint,
    "heun": diffrax.Heun,
    "ralston": diffrax.Ralston,
    "bogacki_shampine3": diffrax.Bosh3,
    "tsitouras5": diffrax.Tsit5,
    "dormand_prince5": diffrax.Dopri5,
}


@pytest.mark.parametrize("name", PEERS)
def test_equals_diffrax_with_the_same_tableau(name):
    y0 = exact(jnp.asarray(0.0))
    stepper = METHODS[name](field, 0.05)
    ys = rollout(stepper.step, stepper.init(y0), length=20)[1]
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        PEERS[name](),
        0.0,
        1.0,
        0.05,
        y0,
        stepsize_controller=diffrax.ConstantStepSize(),
        saveat=diffrax.SaveAt(ts=jnp.linspace(0.05, 1.0, 20)),
    )
    np.testing.assert_allclose(ys, solution.ys, rtol=1e-11)


def test_any_pytree_is_a_state():
    def f(t, y, u):
        return {"a": -y["a"], "b": [1j * y["b"][0], 2.0 * t * jnp.ones((2, 1))]}

    stepper = rk4(f, 0.01)
    y0 = {"a": jnp.ones(3), "b": [jnp.asarray(1.0 + 0j), jnp.zeros((2, 1))]}
    y = rollout(stepper.step, stepper.init(y0), length=100)[0].y
    np.testing.assert_allclose(y["a"], np.exp(-1) * np.ones(3), rtol=1e-9)
    np.testing.assert_allclose(y["b"][0], np.exp(1j), rtol=1e-9)
    np.testing.assert_allclose(y["b"][1], np.ones((2, 1)), rtol=1e-12)


def test_a_short_float_keeps_a_time_of_32_bits():
    stepper = rk4(lambda t, y, u: jnp.ones_like(y), 0.5)
    carry, ys = rollout(stepper.step, stepper.init(jnp.bfloat16(0)), length=2)
    assert ys.dtype == jnp.bfloat16 and carry.t0.dtype == jnp.float32


def decay(rate, t, y, u):
    return -rate * y


def test_a_stepper_is_a_pytree_that_jit_traces_once_and_vmap_batches():
    traces = []

    @jax.jit
    def final(stepper, y0):
        traces.append(None)
        return rollout(stepper.step, stepper.init(y0), length=50)[0].y

    for rate, dt in [(1.0, 0.02), (2.0, 0.02), (3.0, 0.01)]:
        y = final(rk4(Partial(decay, rate), dt), 1.0)
        np.testing.assert_allclose(y, np.exp(-rate * 50 * dt), rtol=1e-6)
    assert len(traces) == 1
    rates = jnp.array([0.5, 1.0, 2.0])
    batch = jax.vmap(lambda rate: rk4(Partial(decay, rate), 0.02))(rates)
    np.testing.assert_allclose(jax.vmap(final, (0, None))(batch, 1.0), np.exp(-rates), rtol=1e-6)
    slope = jax.grad(lambda stepper: final(stepper, 1.0))(rk4(Partial(decay, 1.0), 0.02))
    assert abs(jax.tree.leaves(slope)[0] + np.exp(-1)) < 1e-6


def test_time_comes_from_the_step_index():
    stepper = rk4(lambda t, y, u: 0 * y + t, 0.1)
    carry = stepper.init(0.0)._replace(k=jnp.asarray(10**7))
    carry, _ = stepper.step(carry, None)
    np.testing.assert_allclose(carry.y, 0.1 * (1e6 + 0.05), rtol=1e-15)


@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_verlet_keeps_its_order_with_damping(damping):
    def f(t, y, u):
        return (y[1], -y[0] - damping * y[1])

    w, a = np.sqrt(1 - damping**2 / 4), damping / 2
    q = np.exp(-a) * (np.cos(w) + a / w * np.sin(w))
    errors = [abs(float(end(velocity_verlet, f, (1.0, 0.0), 1 / n, n)[0]) - q) for n in (64, 128)]
    assert abs(np.log2(errors[0] / errors[1]) - 2) < 0.15


@pytest.mark.parametrize(
    "f, y0, dt, words",
    [
        (lambda t, y, u: y, 1.0, 0.0, "dt: expected a finite step length other than 0, got 0.0"),
        (lambda t, y, u: y, 1.0, np.nan, "dt: expected a finite step length"),
        (lambda t, y, u: y, 1.0, "0.1", "dt: expected a real number, got '0.1'"),
        (lambda t, y, u: y, 1.0, 1j, "dt: expected a real number, got 1j"),
        (2.0, 1.0, 0.1, "f: expected a function, got float"),
        (lambda t, y, u: y, {"q": "a"}, 0.1, r"y0\['q'\]: expected an array or a number, got str"),
        (lambda t, y, u: [y], 1.0, 0.1, "f: expected a derivative with the structure of the state"),
        (lambda t, y, u: y[:2], np.ones(3), 0.1, r"f: expected float64\[3\].*got float64\[2\]"),
        (lambda t, y, u: jnp.asarray(1j), 1.0, 0.1, "f: expected float64.*got complex128"),
        (lambda t, y, u: y, (), 0.1, "y0: expected a pytree with at least one array"),
    ],
)
def test_mistakes_are_named(f, y0, dt, words):
    with pytest.raises(ValueError, match=words):
        stepper = rk4(f, dt)
        rollout(stepper.step, stepper.init(y0), length=2)


def test_a_state_in_place_of_the_carry_is_named():
    stepper = rk4(lambda t, y, u: -y, 0.1)
    with pytest.raises(ValueError, match=r"carry: expected what init\(y0, t0\).*got \*"):
        rollout(stepper.step, 1.0, length=2)
    with pytest.raises(ValueError, match="t0: expected a real number, got None"):
        stepper.init(1.0, None)


@pytest.mark.parametrize("y0", [1.0, (1.0, 2.0, 3.0), {"q": 1.0}])
def test_a_symplectic_method_wants_a_pair(y0):
    stepper = velocity_verlet(lambda t, y, u: y, 0.1)
    with pytest.raises(ValueError, match="y: expected a pair"):
        rollout(stepper.step, stepper.init(y0), length=2)
