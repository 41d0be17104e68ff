"""Estimators of the task `estimate`: a filter, its prior, and the quantities it estimates.

To add one, write a function that returns an `Estimator`, in a file of its own. It may take
``y`` (N, m), the observations, and ``dt``, their interval; or ``t`` (N,), their times, which
may then be irregular. Its other parameters are keys of the configuration.
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
        prior: a `Gaussian`, the state one step before the first observation.
        states, observed: name and `Quantity` of each component of the state and of the
            observation, in order.
        burn_in: the number of observations that went into the prior. If it is k > 0, the prior
            is the state at the k-th observation, the filter starts with the next one, and the
            estimates before the k-th are left out.
        sensors: for each sensor, the components of the observation that it measures together;
            each sensor has its own NIS.
        shown: for a state that is observed directly, the name of that observation, which the
            figure draws as dots in the state's panel.
        smoother: the smoother, which runs backwards over the filter's estimates.
        inputs: ``inputs(t, dt)``, further inputs of the steps that end at the times t (N,),
            each dt (N,) after the one before: a mapping of arrays with leading axis N. The
            first dt is 0, because the prior is the state at the first observation.
        name: the name of the system; None is the name of the function.
    """

    stepper: Stepper
    prior: Any
    states: Mapping[str, Quantity]
    observed: Mapping[str, Quantity]
    burn_in: int = 0
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
    """yₖ = μₖ + εₖ, μₖ₊₁ = μₖ + ηₖ: a random-walk level with an exactly diffuse prior.

    With a diffuse prior, the level given the first observation is N(y₀, σ²_ε).

    Args:
        y: (N, 1) observations.
        sigma2_eps, sigma2_eta: variances of the noise ε and of the steps η of the level.
        name, units, long_name: name, units and description of the observed quantity.

    Reference: J. Durbin and S. J. Koopman, "Time Series Analysis by State Space
    Methods", 2nd ed., Oxford 2012, chapter 2.
    """
    if name == "level":
        name = "observed"
    _check_columns(y, 1, "local_level")
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
        burn_in=first + 1,
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
        variance: variance of the noise of y.

    Reference: S. Särkkä and L. Svensson, "Bayesian Filtering and Smoothing", 2nd ed.,
    Cambridge 2023, example 7.6.
    """
    _check_columns(y, 1, "pendulum")
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
    """Extended Kalman filter of a target of constant velocity, observed by lidar and radar.

        lidar: px, py;   radar: ρ = |p|, φ = atan2(py, px), ρ' = p·v / ρ

    The state starts at rest at the first observed position. Residuals of the bearing are
    wrapped to (−π, π].

    Args:
        y: (N, 5): px, py, ρ, φ, ρ'; NaN where a sensor gives no observation.
        dt: s.
        noise: variance of the acceleration along each axis, constant within a step, m² s⁻⁴.
        lidar, radar: variances of the noise of their components.
        variance: variances of the state at the first observation.

    Reference: Y. Bar-Shalom, X. R. Li and T. Kirubarajan, "Estimation with Applications
    to Tracking and Navigation", Wiley 2001, sections 6.3.2 and 10.3.
    """
    _check_columns(y, 5, "lidar_radar")
    for key, value, size in (("lidar", lidar, 2), ("radar", radar, 3), ("variance", variance, 4)):
        if len(value) != size:
            raise ValueError(f"{key}: expected {size} variances, got {len(value)}")
    by_radar = y[:, 2:3] * np.stack([np.cos(y[:, 3]), np.sin(y[:, 3])], axis=1)
    positions = np.where(np.isnan(y[:, :2]).any(axis=1, keepdims=True), by_radar, y[:, :2])
    complete = ~np.isnan(positions).any(axis=1)
    if not complete.any():
        raise ValueError(
            "y: expected an observed position, where the state starts, got none in the record"
        )
    first = int(np.argmax(complete))
    G = np.kron(np.array([[dt**2 / 2], [dt]]), np.eye(2))
    F = np.eye(4) + dt * np.eye(4, k=2)
    model = Nonlinear(
        f=Partial(_constant_velocity, F),
        h=Partial(_observe_both),
        Q=noise * G @ G.T,
        R=np.array([*lidar, *radar]),
        residual=Partial(_bearing_residual),
    )
    return Estimator(
        extended(model),
        Gaussian(np.array([*positions[first], 0.0, 0.0]), np.diag(variance)),
        {
            "px": Quantity("m", "position along x"),
            "py": Quantity("m", "position along y"),
            "vx": Quantity("m s-1", "velocity along x"),
            "vy": Quantity("m s-1", "velocity along y"),
        },
        {
            "px_lidar": Quantity("m", "position along x by lidar"),
            "py_lidar": Quantity("m", "position along y by lidar"),
            "rho": Quantity("m", "distance by radar"),
            "phi": Quantity("rad", "bearing by radar"),
            "rho_dot": Quantity("m s-1", "range rate by radar"),
        },
        burn_in=first + 1,
        sensors={"lidar": (0, 1), "radar": (2, 3, 4)},
        shown={"px": "px_lidar", "py": "py_lidar"},
    )


def _constant_velocity(F, x, u, t):
    return jnp.asarray(F, x.dtype) @ x


def _observe_both(x, u, t):
    px, py, vx, vy = x
    square = px * px + py * py
    # The bearing has no derivative at the origin, and a NaN would stay in the state.
    away = square > 0
    rho = jnp.sqrt(jnp.where(away, square, 1))
    phi = jnp.arctan2(jnp.where(away, py, 0), jnp.where(away, px, 1))
    return jnp.stack([px, py, jnp.where(away, rho, 0), phi, (px * vx + py * vy) / rho])


def _bearing_residual(y, mu):
    residual = y - mu
    return residual.at[3].set(jnp.pi - (jnp.pi - residual[3]) % (2 * jnp.pi))


def _check_columns(y, m, name):
    """Raise ValueError unless the observations have m columns."""
    if y.shape[1] != m:
        raise ValueError(f"y: expected {m} columns for {name}, got {y.shape[1]}")
