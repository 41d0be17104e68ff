"""What symplectic methods are for: invariants over many periods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from integrators import semi_implicit_euler, velocity_verlet
from sim import rollout


def kepler(t, y, u):
    q, v = y
    return (v, -q / jnp.hypot(q[0], q[1]) ** 3)


@pytest.mark.parametrize(
    "method, bound", [(semi_implicit_euler, 3e-2), (velocity_verlet, 2e-3)], ids=["euler", "verlet"]
)
def test_kepler_keeps_energy_and_angular_momentum(method, bound):
    # Eccentricity 0.6, 10⁵ steps of 0.01: 159 revolutions; H0 = -0.5 and L0 = 0.8.
    e = 0.6
    stepper = method(kepler, 0.01)
    y0 = (jnp.array([1 - e, 0.0]), jnp.array([0.0, np.sqrt((1 + e) / (1 - e))]))
    run = jax.jit(lambda y0: rollout(stepper.step, stepper.init(y0), length=10**5)[1])
    q, v = map(np.asarray, run(y0))
    energy = (v**2).sum(1) / 2 - 1 / np.hypot(*q.T) + 0.5
    momentum = q[:, 0] * v[:, 1] - q[:, 1] * v[:, 0] - 0.8
    assert np.abs(energy).max() < bound
    # No secular growth: the worst of the last tenth is that of the first.
    first, last = np.abs(energy[:10_000]).max(), np.abs(energy[-10_000:]).max()
    assert last < 1.05 * first
    drift = np.polyfit(np.linspace(0, 1, 10**5), energy, 1)[0]
    assert abs(drift) < 0.01 * bound
    assert np.abs(momentum).max() < 1e-12
