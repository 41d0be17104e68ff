"""The extended Kalman filter of a state in continuous time, observed at discrete times."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from filters.covariance import as_float_array, check_semidefinite, symmetric
from filters.extended import expect_observation, tangent
from filters.gaussian import (
    Gaussian,
    Predicted,
    condition,
    gaussian_filter,
    update_where_seen,
)
from filters.kalman import split_observation
from filters.nonlinear import Nonlinear, validate_model
from sim import Stepper, check, repeat
from sim.linalg import matmul
from sim.piece import at
from sim.step import as_pytree


class Moments(NamedTuple):
    """The integrated state: mean m (n,), covariance P (n, n), transition Phi (n, n)."""

    m: Any
    P: Any
    Phi: Any


def continuous_extended(
    f: Callable,
    h: Callable,
    Qc: Any,
    R: Any,
    integrator: Callable,
    *,
    substeps: int = 1,
    residual: Callable | None = None,
) -> Stepper:
    """The continuous-discrete extended Kalman filter.

        dx = f(t, x, u) dt + dβ, with dβ of spectral density Qc;   yₖ = h(xₖ, u, tₖ) + eₖ

        ṁ = f(t, m, u),   Ṗ = J P + P Jᵀ + Qc,   Φ̇ = J Φ,   J = ∂f/∂x at m

    from one observation to the next, then the update of `filters.extended`.

    Args:
        f: the drift, a vector field ``f(t, x, u) -> dx/dt`` of a state (n,).
        h: ``h(x, u, t) -> y`` (m,), as in `filters.nonlinear.Nonlinear`.
        Qc: (n, n) spectral density of the noise, L Qc Lᵀ where it enters through L.
        R: (m, m) covariance of e, or (m,) its diagonal.
        integrator: ``integrator(f, dt) -> Stepper`` with ``init(y0, t0)``, as the
            package `integrators` has them: explicit, of order 4 say. It must take a
            NamedTuple for a state.
        substeps: steps of the integrator from one observation to the next.
        residual: as in `Nonlinear`.

    Returns:
        A stepper: ``init(prior, on_first=False)`` as `kalman`. The input of its step is a
        mapping: "y" (m,), NaN where missing, "t" its time and "dt" the time since the
        one before, and "u", held or a `sim.inputs.Piece`; h sees u at the end.
        `filters.discretise.intervals` makes "t" and "dt" and refuses a time that goes
        backwards; a negative "dt" from elsewhere gives NaN. It emits an `Estimate`,
        for `rts`.

    Raises:
        ValueError: shapes disagree, Qc, R or the prior is no covariance, or a "t" or
            "dt" is missing.

    Reference: A. H. Jazwinski, "Stochastic Processes and Filtering Theory", Academic
    Press 1970, section 8.3; S. Särkkä and A. Solin, "Applied Stochastic Differential
    Equations", Cambridge 2019, chapter 10.

    >>> from filters.discretise import intervals
    >>> from sim import rollout
    >>> def heun(f, dt):
    ...     def step(carry, x):
    ...         t, y = carry
    ...         k = f(t, y, x)
    ...         ahead = jax.tree.map(lambda y, k: y + dt * k, y, k)
    ...         mean = jax.tree.map(lambda a, b: 0.5 * (a + b), k, f(t + dt, ahead, x))
    ...         y = jax.tree.map(lambda y, k: y + dt * k, y, mean)
    ...         return (t + dt, y), y
    ...     return Stepper(lambda y0, t0: (t0, y0), step)
    >>> decay = continuous_extended(
    ...     lambda t, x, u: -x, lambda x, u, t: x, [[2.0]], [1.0], heun, substeps=100)
    >>> xs = {"y": jnp.full((2, 1), jnp.nan), **intervals([0.5, 9.0], 0.0)}
    >>> _, estimates = rollout(decay.step, decay.init(Gaussian([1.0], [[0.0]])), xs)
    >>> estimates.m[:, 0].round(3).tolist(), estimates.P[:, 0, 0].round(3).tolist()
    ([0.607, 0.0], [0.632, 1.0])
    """
    check.function("f", f)
    check.function("integrator", integrator)
    substeps = check.positive("substeps", substeps)
    Qc = as_float_array(Qc)
    if Qc.ndim != 2 or Qc.shape[0] != Qc.shape[1]:
        raise ValueError(f"Qc: expected (n, n), got shape {Qc.shape}")
    check_semidefinite("Qc", Qc)
    model = validate_model(Nonlinear(f=Partial(_keep_state), h=h, Q=Qc, R=R, residual=residual))
    return gaussian_filter(
        Partial(_Predict(integrator, substeps), as_pytree(f), model.Q),
        Partial(_observe, model),
        Partial(_split),
        residual=model.residual,
        update=Partial(update_where_seen, Partial(condition)),
    )


def _keep_state(x, u, t):
    return x


def _split(x):
    y, rest = split_observation(x, ("y", "u", "t", "dt", "R"))
    missing = [name for name in ("t", "dt") if name not in rest]
    if missing:
        raise ValueError(f"xs: expected 'y', 't' and 'dt', got nothing under {missing[0]!r}")
    return y, rest | {"y": y}


class _Predict(NamedTuple):
    """The prediction with one integrator; equal ones are equal, so that jit traces once."""

    integrator: Callable
    substeps: int

    def __call__(self, f, Qc, belief: Gaussian, x) -> Predicted:
        m, P = belief
        if Qc.shape != P.shape:
            raise ValueError(f"Qc: expected {P.shape}, as the prior has, got {Qc.shape}")
        dt = jnp.asarray(x["dt"], m.dtype)
        # Compiled code cannot raise for a time that goes backwards: the result is NaN.
        dt = jnp.where(dt >= 0, dt, jnp.nan)
        start = jnp.asarray(x["t"], m.dtype) - dt
        stepper = self.integrator(Partial(_field, f, Qc.astype(m.dtype)), dt / self.substeps)
        first = Moments(m, P, jnp.eye(m.shape[0], dtype=m.dtype))
        _, moments = repeat(stepper.step, self.substeps)(stepper.init(first, start), x.get("u"))
        return Predicted(moments.m, symmetric(moments.P), matmul(P, moments.Phi.T))


def _field(f, Qc, t, moments: Moments, u) -> Moments:
    m, P, Phi = moments
    # All columns of the Jacobian from one linearisation.
    rate, push = jax.linearize(lambda m: _drift(f, t, m, u), m)
    J = jax.vmap(push, in_axes=1, out_axes=1)(jnp.eye(m.shape[0], dtype=m.dtype))
    JP = matmul(J, P)
    return Moments(rate, JP + JP.T + Qc, matmul(J, Phi))


def _drift(f, t, m, u):
    rate = jnp.asarray(f(t, m, u))
    if rate.shape != m.shape:
        raise ValueError(f"f: expected a rate of shape {m.shape}, as the state, got {rate.shape}")
    return rate.astype(m.dtype)


def _observe(model, belief: Gaussian, x):
    if x.get("u") is not None:
        x = x | {"u": at(x["u"], 1.0)}
    return expect_observation(belief.P, *tangent(model, belief, x))
