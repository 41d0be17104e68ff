"""The nonlinear filters, and the two recorded problems they are held against."""

import json

import jax.numpy as jnp
import numpy as np

from filters.cubature import cubature
from filters.extended import extended
from filters.gauss_hermite import gauss_hermite
from filters.gaussian import Gaussian
from filters.iterated import iterated_extended
from filters.nonlinear import Nonlinear
from filters.unscented import unscented
from sim import rollout
from tests.filters.derivatives import quick

FILTERS = {
    "extended": extended,
    "iterated": lambda model: iterated_extended(model, 3),
    "unscented": unscented,
    "cubature": cubature,
    "gauss_hermite": gauss_hermite,
}


def run(stepper, prior, xs):
    return rollout(stepper.step, stepper.init(prior), xs)[1]


filtered = quick(run)


@quick
def smoothed(smoother, estimates):
    return rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1]


def swing(x, u, t, dt=0.01, g=9.81):
    return jnp.stack([x[0] + dt * x[1], x[1] - g * dt * jnp.sin(x[0])])


def height(x, u, t):
    return jnp.sin(x[:1])


def pendulum(shared, dt=0.01):
    """The model, the prior, the true states (N, 2) and the record (N, 1)."""
    data = json.loads((shared / "data/pendulum.json").read_text())
    Q = 0.01 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    model = Nonlinear(swing, height, Q, [0.1])
    prior = Gaussian(jnp.zeros(2), jnp.eye(2))
    return model, prior, np.array(data["X"]).T, np.array(data["Y"]).reshape(-1, 1)


def constant_velocity(x, dt, t):
    return x + dt * jnp.stack([x[2], x[3], 0.0 * x[2], 0.0 * x[3]])


def lidar_and_radar(x, u, t):
    """px py of the lidar, then rho phi rho_dot of the radar."""
    rho = jnp.hypot(x[0], x[1])
    speed = (x[0] * x[2] + x[1] * x[3]) / rho
    return jnp.stack([x[0], x[1], rho, jnp.arctan2(x[1], x[0]), speed])


def wrapped(y, mu):
    """y − μ with the bearing in (−π, π]."""
    v = y - mu
    return jnp.where(np.arange(5) == 3, jnp.pi - jnp.mod(jnp.pi - v, 2 * jnp.pi), v)


def lidar_radar(shared):
    """The model, the prior, the inputs of its steps, and the truth (N, 4)."""
    rows = [line.split() for line in (shared / "data/lidar_radar.txt").read_text().splitlines()]
    ys, times, truth = np.full((len(rows), 5), np.nan), [], []
    for y, (sensor, *row) in zip(ys, rows, strict=True):
        size = 2 if sensor == "L" else 3
        y[slice(0, 2) if sensor == "L" else slice(2, 5)] = np.array(row[:size], float)
        times.append(int(row[size]))
        truth.append(np.array(row[size + 1 : size + 5], float))
    dt = np.diff(times) * 1e-6
    G = np.zeros((len(dt), 4, 2))
    G[:, [0, 1], [0, 1]], G[:, [2, 3], [0, 1]] = dt[:, None] ** 2 / 2, dt[:, None]
    model = Nonlinear(
        constant_velocity,
        lidar_and_radar,
        np.eye(4),
        [0.0225, 0.0225, 0.09, 0.0009, 0.09],
        residual=wrapped,
    )
    prior = Gaussian(np.array([*ys[0, :2], 0, 0]), np.diag([1.0, 1, 1000, 1000]))
    xs = {"y": ys[1:], "u": dt, "Q": 9 * G @ np.swapaxes(G, 1, 2)}
    return model, prior, xs, np.stack(truth)
