"""Each model against something exact, conserved or published."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.special import ellipj, ellipk

from sim.models import chain, duffing, kepler, linear, lorenz, pendulum
from tests.sim.simulation import simulate


def spread(energy):
    return float(jnp.max(energy) - jnp.min(energy))


# ---------------------------------------------------------------- pendulum
def test_pendulum_has_the_period_of_the_elliptic_integral_and_keeps_its_energy():
    params = pendulum.Params(length=0.7, mass=1.3, damping=0.0)
    amplitude, n = 2.5, 1000
    period = 4 * np.sqrt(0.7 / 9.81) * ellipk(np.sin(amplitude / 2) ** 2)
    model = pendulum.model(params, pendulum.State(amplitude, 0.0))
    ys = simulate(model.field, model.initial, period / n, n)
    np.testing.assert_allclose([ys.angle[-1], ys.angular_velocity[-1]], [amplitude, 0], atol=1e-9)
    np.testing.assert_allclose(ys.angle[n // 2 - 1], -amplitude, rtol=1e-9)
    assert spread(pendulum.energy(params, ys)) < 1e-9


def test_small_driven_pendulum_swings_with_the_linear_amplitude():
    length, mass, damping, omega, torque = 0.8, 2.0, 0.5, 3.0, 1e-5
    inertia = mass * length**2
    field = pendulum.model(pendulum.Params(length, 9.81, mass, damping)).field
    response = torque / inertia / (9.81 / length - omega**2 + 1j * omega * damping / inertia)
    start = pendulum.State(response.real, (1j * omega * response).real)
    dt, n = 0.02, 300
    ys = simulate(lambda t, y, u: field(t, y, torque * jnp.cos(omega * t)), start, dt, n)
    exact = (response * np.exp(1j * omega * dt * np.arange(1, n + 1))).real
    np.testing.assert_allclose(ys.angle, exact, atol=1e-7 * abs(response))


# ---------------------------------------------------------------- chain
def test_uniform_chain_moves_as_the_sum_of_its_modes():
    n, mass, stiffness, damping = 4, 2.0, 3.0, 0.2
    model = chain.model(n, chain.Params(mass, damping, stiffness))
    modes = np.arange(1, n + 1)
    shapes = np.sqrt(2 / (n + 1)) * np.sin(np.outer(modes, modes) * np.pi / (n + 1))
    omega = 2 * np.sqrt(stiffness / mass) * np.sin(modes * np.pi / (2 * (n + 1)))
    decay = damping / stiffness * omega**2 / 2
    ringing = np.sqrt(omega**2 - decay**2)
    t = 0.05 * np.arange(1, 101)[:, None]
    amplitude = shapes @ np.asarray(model.initial.position)
    modal = np.exp(-decay * t) * (np.cos(ringing * t) + decay / ringing * np.sin(ringing * t))
    ys = simulate(model.field, model.initial, 0.05, 100)
    np.testing.assert_allclose(ys.position, (amplitude * modal) @ shapes, atol=1e-8)


def test_a_chain_of_different_parts_has_the_textbook_matrices():
    mass, damping, stiffness = [1.0, 2.0, 4.0], [0.1, 0.2, 0.3, 0.4], [5.0, 6.0, 7.0, 8.0]
    drive = [0.0, 1.0, 0.0]
    model = chain.model(3, chain.Params(mass, damping, stiffness, drive))

    def matrix(links):
        a, b, c, d = links
        return np.array([[a + b, -b, 0], [-b, b + c, -c], [0, -c, c + d]])

    x, v = np.array([0.3, -0.5, 0.2]), np.array([1.0, 2.0, -1.0])
    force = 2.5 * np.array(drive) - matrix(stiffness) @ x - matrix(damping) @ v
    dy = model.field(0.0, chain.State(jnp.asarray(x), jnp.asarray(v)), 2.5)
    np.testing.assert_allclose(dy.velocity, force / mass, rtol=1e-14)
    np.testing.assert_array_equal(dy.position, v)


def test_chain_is_pushed_at_its_last_mass_and_settles_on_the_static_line():
    model = chain.model(3)
    rest = chain.State(jnp.array([0.25, 0.5, 0.75]), jnp.zeros(3))
    np.testing.assert_allclose(model.field(0.0, rest, 1.0).velocity, 0.0, atol=1e-15)


def test_chain_with_a_free_end_has_its_exact_frequencies():
    n = 3
    model = chain.model(n, chain.Params(damping=0.0, stiffness=[1.0, 1.0, 1.0, 0.0]))
    at_rest = chain.State(jnp.zeros(n), jnp.zeros(n))
    stiffness = -jax.jacfwd(model.field, argnums=1)(0.0, at_rest, None).velocity.position
    exact = 2 * np.sin((2 * np.arange(1, n + 1) - 1) * np.pi / (2 * (2 * n + 1)))
    np.testing.assert_allclose(np.sqrt(np.linalg.eigvalsh(stiffness)), exact, rtol=1e-12)


def test_undamped_chain_keeps_its_energy():
    params = chain.Params(mass=jnp.array([1.0, 2.0, 3.0]), damping=0.0, stiffness=2.0)
    model = chain.model(3, params)
    ys = simulate(model.field, model.initial, 0.02, 500)
    energy = jax.vmap(lambda y: chain.energy(params, y))(ys)
    np.testing.assert_allclose(energy, 2.0, atol=1e-8)


# ---------------------------------------------------------------- Duffing
def test_free_duffing_is_a_jacobi_elliptic_function():
    params = duffing.Params(mass=2.0, damping=0.0, stiffness=3.0, cubic=5.0)
    a, dt, n = 1.2, 0.01, 500
    rate = np.sqrt((3.0 + 5.0 * a**2) / 2.0)
    modulus = 5.0 * a**2 / (2 * (3.0 + 5.0 * a**2))
    ys = simulate(duffing.model(params).field, duffing.State(a, 0.0), dt, n)
    _, cn, _, _ = ellipj(rate * dt * np.arange(1, n + 1), modulus)
    np.testing.assert_allclose(ys.position, a * cn, atol=1e-8)
    assert spread(duffing.energy(params, ys)) < 1e-8


def test_forced_duffing_follows_a_cosine_under_the_force_that_makes_one():
    m, c, k, k3 = 1.5, 0.4, 2.0, 0.7
    field = duffing.model(duffing.Params(m, c, k, k3)).field
    a, w = 0.8, 2.0

    def force(t):
        x = a * jnp.cos(w * t)
        return (k - m * w**2) * x - c * w * a * jnp.sin(w * t) + k3 * x**3

    dt, n = 0.01, 300
    ys = simulate(lambda t, y, u: field(t, y, force(t)), duffing.State(a, 0.0), dt, n)
    np.testing.assert_allclose(ys.position, a * np.cos(w * dt * np.arange(1, n + 1)), atol=1e-9)


# ---------------------------------------------------------------- Lorenz
@pytest.mark.parametrize("side", [-1, 0, 1])
def test_lorenz_rests_at_its_fixed_points(side):
    x = side * np.sqrt(8 / 3 * 27)
    dy = lorenz.model().field(0.0, lorenz.State(x, x, 27.0 * abs(side)), None)
    np.testing.assert_allclose(dy, 0.0, atol=1e-12)


def test_lorenz_contracts_volume_everywhere_at_one_rate_and_is_symmetric():
    field = lorenz.model(lorenz.Params(9.0, 20.0, 2.0)).field
    y = lorenz.State(1.3, -2.0, 5.0)
    jacobian = jax.jacfwd(field, argnums=1)(0.0, y, None)
    assert float(jacobian.x.x + jacobian.y.y + jacobian.z.z) == pytest.approx(-(9.0 + 1 + 2.0))
    dy, mirrored = field(0.0, y, None), field(0.0, lorenz.State(-1.3, 2.0, 5.0), None)
    assert mirrored == (-dy.x, -dy.y, dy.z)


# ---------------------------------------------------------------- Kepler
def test_kepler_orbit_closes_after_its_period():
    mu, a, e, n = 2.0, 1.5, 0.6, 2000
    params = kepler.Params(mu)
    start = kepler.State([a * (1 - e), 0.0], [0.0, np.sqrt(mu / a * (1 + e) / (1 - e))])
    model = kepler.model(params, start)
    ys = simulate(model.field, model.initial, 2 * np.pi * np.sqrt(a**3 / mu) / n, n)
    np.testing.assert_allclose(ys.position[-1], start.position, atol=1e-8)
    np.testing.assert_allclose(ys.position[n // 2 - 1], [-a * (1 + e), 0.0], atol=1e-8)
    np.testing.assert_allclose(kepler.energy(params, ys), -mu / (2 * a), rtol=1e-9)
    momentum = np.sqrt(mu * a * (1 - e**2))
    np.testing.assert_allclose(kepler.angular_momentum(ys), momentum, rtol=1e-9)


def test_default_kepler_orbit_has_the_published_invariants():
    # SUNDIALS ark_kepler.c: e = 0.6, H = -0.5, L = 0.8.
    initial = kepler.model().initial
    assert float(kepler.energy(kepler.Params(), initial)) == pytest.approx(-0.5, abs=1e-15)
    assert float(kepler.angular_momentum(initial)) == pytest.approx(0.8, abs=1e-15)


# ---------------------------------------------------------------- linear
def test_linear_system_is_the_matrix_exponential():
    A = [[0.0, 1.0, 0.0], [-2.0, -0.3, 1.0], [0.5, 0.0, -1.0]]
    B = [[0.0, 1.0], [1.0, 0.0], [2.0, 0.5]]
    C, D = [[1.0, 0.0, 2.0]], [[0.0, 3.0]]
    model = linear.model(A, B, C, D, initial=[1.0, -1.0, 0.5])
    u, t = np.array([0.7, -0.4]), 1.5
    ys = simulate(model.field, model.initial, t / 100, 100, jnp.broadcast_to(u, (100, 2)))
    joint = np.zeros((5, 5))
    joint[:3] = np.hstack([A, B])
    exact = (expm(joint * t) @ np.concatenate([model.initial.x, u]))[:3]
    np.testing.assert_allclose(ys.x[-1], exact, rtol=1e-9)
    measured = model.output(t, linear.State(ys.x[-1]), jnp.asarray(u))
    np.testing.assert_allclose(measured.y, C @ exact + D @ u, rtol=1e-9)


def test_one_input_is_a_scalar():
    model = linear.model([[0.0, 1.0], [0.0, 0.0]], [[0.0], [1.0]], initial=[0.0, 0.0])
    ys = simulate(model.field, model.initial, 0.1, 10, jnp.full(10, 2.0))
    np.testing.assert_allclose(ys.x[-1], [1.0, 2.0], rtol=1e-12)
    assert model.inputs == ("u",) and model.output is None
    with pytest.raises(ValueError, match="u: expected 1 inputs, one for each column, got 3"):
        model.field(0.0, model.initial, jnp.ones(3))
