"""What the task `estimate` runs on a record: a filter, its prior, and what its numbers mean.

A newcomer adds one in a file of their own: a function that returns an `Estimator`. It may
take ``y`` (N, m), the observations, and ``dt``, the time between them; or ``t`` (N,), their
times, which may then be irregular. Its other parameters are keys of the configuration.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.extended import extended
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.nonlinear import Nonlinear
from filters.rts import rts
from filters.unscented import unscented
from sim import Stepper
from sim.models import Quantity


class Estimator(NamedTuple):
    """A filter and its smoother, ready for a record.

    Attributes:
        stepper: the filter; its step takes the observation (m,) and emits an `Estimate`.
        prior: a `Gaussian` of the state one step before the first observation it sees.
        states, observed: for each component of the state and of the observation, in
            order, its name and its `Quantity`.
        used: 0; or k where the prior was made from the k-th observation, and speaks of
            the state at its time: the filter then begins with the next, and those before
            it, in which too little was seen to begin, are left out.
        sensors: name and components of what is observed together; each has its NIS.
        shown: for a state that is itself observed, that observation, as dots in its panel
            of the figure.
        smoother: run back over the filter's estimates.
        inputs: ``inputs(t, dt)``, what comes with the observations to the steps that end at
            the times t (N,), each dt (N,) after the one before: a mapping, leading axis N.
            The first dt is 0: the prior is of the state at the first observation.
        name: what the estimates are of; None is the name of the function.
    """

    stepper: Stepper
    prior: Any
    states: Mapping[str, Quantity]
    observed: Mapping[str, Quantity]
    used: int = 0
    sensors: Mapping[str, tuple[int, ...]] = {}
    shown: Mapping[str, str] = {}
    smoother: Stepper = rts()
    inputs: Callable[[Any, Any], Mapping[str, Any]] | None = None
    name: str | None = None


def local_level(
    y: Any,
    sigma2_eps: float,
    sigma2_eta: float,
    name: str = "level",
    units: str = "1",
    long_name: str = "level",
) -> Estimator:
    """yₖ = μₖ + εₖ, μₖ₊₁ = μₖ + ηₖ: a level that wanders, exactly diffuse at the start.

    Of a level of which nothing is known, the first value seen leaves N(y₀, σ²_ε).

    Args:
        y: (N, 1) observations.
        sigma2_eps, sigma2_eta: variances of the noise and of the steps of the level.
        name, units, long_name: of what is observed; its level is ``level``.

    Reference: J. Durbin and S. J. Koopman, "Time Series Analysis by State Space
    Methods", 2nd ed., Oxford 2012, chapter 2.
    """
    if name == "level":
        name = "observed"
    _start_width(y, 1, "local_level")
    first = int(np.argmax(~np.isnan(y[:, 0])))
    for key, value in (("sigma2_eps", sigma2_eps), ("sigma2_eta", sigma2_eta)):
        if not value > 0:
            raise ValueError(f"{key}: expected a variance above 0, got {value:g}")
    one = jnp.ones((1, 1))
    return Estimator(
        kalman(LinearGaussian(F=one, Q=sigma2_eta * one, H=one, R=sigma2_eps * one)),
        Gaussian(y[first], sigma2_eps * one),
        {"level": Quantity(units, f"level of {long_name}")},
        {name: Quantity(units, long_name)},
        used=first + 1,
        shown={"level": name},
    )


def pendulum(
    y: Any,
    dt: float,
    filter: Literal["extended", "unscented"] = "extended",
    gravity: float = 9.81,
    q: float = 0.01,
    variance: float = 0.1,
) -> Estimator:
    """θ' = θ + ω Δt, ω' = ω − g sin θ Δt + noise; y = sin θ + noise.

    Args:
        y: (N, 1) observations.
        dt: Δt, s.
        filter: the extended Kalman filter, or the unscented (α = 1, β = 0, κ = 1).
        gravity: g / l, s⁻².
        q: spectral density of the noise of the angular acceleration, rad² s⁻³.
        variance: of the noise of y.

    Reference: S. Särkkä and L. Svensson, "Bayesian Filtering and Smoothing", 2nd ed.,
    Cambridge 2023, example 7.6.
    """
    _start_width(y, 1, "pendulum")
    Q = q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    model = Nonlinear(
        f=Partial(_swing_field, gravity, dt), h=Partial(_observe_sine), Q=Q, R=np.array([variance])
    )
    return Estimator(
        {"extended": extended, "unscented": unscented}[filter](model),
        Gaussian(np.zeros(2), np.eye(2)),
        {
            "angle": Quantity("rad", "angle"),
            "angular_velocity": Quantity("rad s-1", "angular velocity"),
        },
        {"sine": Quantity("1", "sine of the angle")},
    )


def _swing_field(gravity, dt, x, u, t):
    return jnp.stack([x[0] + dt * x[1], x[1] - gravity * dt * jnp.sin(x[0])])


def _observe_sine(x, u, t):
    return jnp.sin(x[:1])


def lidar_radar(
    y: Any,
    dt: float,
    noise: float = 9.0,
    lidar: tuple[float, ...] = (0.0225, 0.0225),
    radar: tuple[float, ...] = (0.09, 0.0009, 0.09),
    variance: tuple[float, ...] = (1.0, 1.0, 1000.0, 1000.0),
) -> Estimator:
    """A target of constant velocity in the plane, seen by a lidar and a radar, extended.

        lidar: px, py;   radar: ρ = |p|, φ = atan2(py, px), ρ' = p·v / ρ

    The state starts, at rest, at the first observation of a position. Bearings differ by less than π.

    Args:
        y: (N, 5): px, py, ρ, φ, ρ'; NaN where a sensor is silent.
        dt: s.
        noise: variance of the acceleration of each axis, constant in a step, m² s⁻⁴.
        lidar, radar: variances of their components.
        variance: of the state at the first observation.

    Reference: Y. Bar-Shalom, X. R. Li and T. Kirubarajan, "Estimation with Applications
    to Tracking and Navigation", Wiley 2001, sections 6.3.2 and 10.3.
    """
    _start_width(y, 5, "lidar_radar")
    for key, value, size in (("lidar", lidar, 2), ("radar", radar, 3), ("variance", variance, 4)):
        if len(value) != size:
            raise ValueError(f"{key}: expected {size} variances, got {len(value)}")
    by_radar = y[:, 2:3] * np.stack([np.cos(y[:, 3]), np.sin(y[:, 3])], axis=1)
    positions = np.where(np.isnan(y[:, :2]).any(axis=1, keepdims=True), by_radar, y[:, :2])
    there = ~np.isnan(positions).any(axis=1)
    if not there.any():
        raise ValueError(
            "y: expected an observation of a position, from which the state starts, "
            "got none in the record"
        )
    first = int(np.argmax(there))
    G = np.kron(np.array([[dt**2 / 2], [dt]]), np.eye(2))
    F = np.eye(4) + dt * np.eye(4, k=2)
    model = Nonlinear(
        f=Partial(_constant_velocity, F),
        h=Partial(_observe_both),
        Q=noise * G @ G.T,
        R=np.array([*lidar, *radar]),
        residual=Partial(_bearing_residual),
    )
    m, s = Quantity("m", "position along x"), Quantity("m s-1", "velocity along x")
    return Estimator(
        extended(model),
        Gaussian(np.array([*positions[first], 0.0, 0.0]), np.diag(variance)),
        {
            "px": m,
            "py": Quantity("m", "position along y"),
            "vx": s,
            "vy": Quantity("m s-1", "velocity along y"),
        },
        {
            "px_lidar": Quantity("m", "position along x by lidar"),
            "py_lidar": Quantity("m", "position along y by lidar"),
            "rho": Quantity("m", "distance by radar"),
            "phi": Quantity("rad", "bearing by radar"),
            "rho_dot": Quantity("m s-1", "range rate by radar"),
        },
        used=first + 1,
        sensors={"lidar": (0, 1), "radar": (2, 3, 4)},
        shown={"px": "px_lidar", "py": "py_lidar"},
    )


def _constant_velocity(F, x, u, t):
    return jnp.asarray(F, x.dtype) @ x


def _observe_both(x, u, t):
    px, py, vx, vy = x
    square = px * px + py * py
    # At the origin itself the bearing has no derivative, and NaN would stay in the state.
    there = square > 0
    rho = jnp.sqrt(jnp.where(there, square, 1))
    phi = jnp.arctan2(jnp.where(there, py, 0), jnp.where(there, px, 1))
    return jnp.stack([px, py, jnp.where(there, rho, 0), phi, (px * vx + py * vy) / rho])


def _bearing_residual(y, mu):
    v = y - mu
    return v.at[3].set(jnp.pi - (jnp.pi - v[3]) % (2 * jnp.pi))


def _start_width(y, m, name):
    if y.shape[1] != m:
        raise ValueError(f"y: expected {m} columns for {name}, got {y.shape[1]}")
