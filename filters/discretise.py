"""Exact discretisation of linear stochastic differential equations, for any sample times."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from filters.covariance import as_float_array, check_semidefinite
from sim import rollout
from sim.linalg import matmul

TERMS = {4: 12, 8: 20}
DOUBLINGS = 32
STIFFEST = 2.0 ** (DOUBLINGS - 1)


class LinearSDE(NamedTuple):
    """A linear differential equation driven by an input and by white noise.

        dx/dt = A x + B u + b + L w,   w white with spectral density Qc

    Attributes:
        A: (n, n), in 1/s.
        Qc: (q, q), in the square of the unit of w, times s; None is no noise.
        L: (n, q), gain of the noise; None is the identity, q = n.
        B: (n, p), gain of the input; None is no input.
        b: (n,) a constant rate; None is none.
    """

    A: Any
    Qc: Any = None
    L: Any = None
    B: Any = None
    b: Any = None


def intervals(t, t0) -> dict:
    """Times and lengths of the steps that end at t, for the xs of a filter: {"t": …, "dt": …}.

        dtₖ = tₖ − tₖ₋₁,   dt₀ = t[0] − t0

    Args:
        t: (N,) times of the observations in s, not decreasing; equal times are several
            observations of one state.
        t0: the time of the prior.

    Raises:
        ValueError: a time is not finite, or less than the one before it.

    >>> {name: value.tolist() for name, value in intervals([1.0, 1.5, 1.5], 0.0).items()}
    {'t': [1.0, 1.5, 1.5], 'dt': [1.0, 0.5, 0.0]}
    """
    t = as_float_array(t)
    if t.ndim != 1:
        raise ValueError(f"t: expected times (N,), got shape {t.shape}")
    start = jnp.concatenate([jnp.asarray(t0, t.dtype)[None], t[:-1]])
    if not isinstance(t, jax.core.Tracer) and not isinstance(t0, jax.core.Tracer):
        before, after = np.asarray(start), np.asarray(t)
        wrong = ~(np.isfinite(after) & np.isfinite(before) & (after >= before))
        if wrong.any():
            k = int(np.argmax(wrong))
            raise ValueError(
                f"t: expected finite times that do not decrease, got {after[k]:g} s at sample {k} "
                f"after {before[k]:g} s"
            )
    return {"t": t, "dt": t - start}


def discretise(sde: LinearSDE, dt) -> dict:
    """The transition over dt, the input held: F, Q, B and b of a `LinearGaussian`.

        F = exp(A dt),   Q = ∫₀^dt exp(A s) L Qc Lᵀ exp(A s)ᵀ ds
        (B, b) = ∫₀^dt exp(A s) ds (B, b)

    By their Taylor series over dt / 2ʲ, with j as large as A needs, then doubled j times,
    Q ← Q + F Q Fᵀ. Q is a sum of covariances, and so a covariance however stiff A is, up
    to ‖A‖∞ dt = 2³¹; the exponential of Van Loan's block matrix does not guarantee that.

    Args:
        sde: the equation.
        dt: length of the step in s, at least 0; or (N,), one for each.

    Returns:
        A mapping with "F" (n, n) and "Q" (n, n), and "B" and "b" where the equation
        has them; each with a leading axis N where dt has. With one dt these are the
        arguments of `LinearGaussian`; with many, part of the xs of its filter.

    Raises:
        ValueError: shapes disagree, Qc is no covariance, a dt is negative or not finite, or
            ‖A‖∞ dt is above 2³¹; inside `jit` the result is then NaN.

    Reference: C. F. Van Loan, IEEE Transactions on Automatic Control 23 (1978).

    >>> velocity = LinearSDE(A=[[0.0, 1.0], [0.0, 0.0]], Qc=[[3.0]], L=[[0.0], [1.0]])
    >>> {name: value.round(12).tolist() for name, value in discretise(velocity, 2.0).items()}
    {'F': [[1.0, 2.0], [0.0, 1.0]], 'Q': [[8.0, 6.0], [6.0, 6.0]]}
    """
    sde = _check_sde(sde)
    A = sde.A
    dt = jnp.asarray(dt, A.dtype)
    if dt.ndim > 1:
        raise ValueError(f"dt: expected a number or (N,), got shape {dt.shape}")
    if not isinstance(dt, jax.core.Tracer):
        lengths = np.asarray(dt)
        if not np.all(np.isfinite(lengths) & (lengths >= 0)):
            wrong = lengths[~(np.isfinite(lengths) & (lengths >= 0))].ravel()[0]
            raise ValueError(f"dt: expected finite steps of at least 0 s, got {wrong:g}")
    _check_stiffness(A, dt)
    many = dt.ndim == 1
    F, Q, integral = _transitions(A, _density(sde), jnp.atleast_1d(dt))
    out = {"F": F, "Q": Q}
    if sde.B is not None:
        out["B"] = integral @ sde.B
    if sde.b is not None:
        out["b"] = integral @ sde.b
    return out if many else {name: value[0] for name, value in out.items()}


def _check_sde(sde):
    sde = LinearSDE(*(a if a is None else as_float_array(a) for a in sde))
    if sde.A.ndim != 2 or sde.A.shape[0] != sde.A.shape[1]:
        raise ValueError(f"A: expected a square matrix, got shape {sde.A.shape}")
    n = sde.A.shape[0]
    q = n if sde.L is None else sde.L.shape[-1]
    fits = {"L": (n, q), "b": (n,), "Qc": (q, q)}
    if sde.B is not None:
        fits["B"] = (n, sde.B.shape[-1])
    for name, shape in fits.items():
        value = sde._asdict()[name]
        if value is not None and value.shape != shape:
            raise ValueError(f"{name}: expected {shape}, got {value.shape}")
    if sde.Qc is not None:
        check_semidefinite("Qc", sde.Qc)
    return LinearSDE(*(a if a is None else a.astype(sde.A.dtype) for a in sde))


def _density(sde):
    """L Qc Lᵀ."""
    if sde.Qc is None:
        return jnp.zeros_like(sde.A)
    return sde.Qc if sde.L is None else sde.L @ sde.Qc @ sde.L.T


def _check_stiffness(A, dt):
    if isinstance(A, jax.core.Tracer) or isinstance(dt, jax.core.Tracer) or not dt.size:
        return
    norm = np.abs(np.asarray(A)).sum(axis=1).max(initial=0) * np.max(dt)
    if not norm <= STIFFEST:
        raise ValueError(
            f"A: expected ‖A‖ dt of at most 2³¹, got {norm:.3g}: make such a mode static"
        )


def _exact(A, density, dt):
    """F, Q and ∫ exp(A s) ds over one dt."""
    eye = jnp.eye(A.shape[0], dtype=A.dtype)
    norm = jax.lax.stop_gradient(jnp.max(jnp.sum(jnp.abs(A), axis=1)) * dt)
    halvings = jnp.clip(jnp.ceil(jnp.log2(jnp.maximum(norm, 1e-30))) + 1, 0, DOUBLINGS)
    h = jnp.where(norm <= STIFFEST, dt, jnp.nan) * jnp.exp2(-halvings)
    # Each term is the derivative of the one before: Q̇ = A Q + Q Aᵀ + L Qc Lᵀ.
    term, noise = eye * h, density * h
    integral, Q = term, noise
    for j in range(2, TERMS[A.dtype.itemsize]):
        term = matmul(A, term) * (h / j)
        noise = (matmul(A, noise) + matmul(noise, A.T)) * (h / j)
        integral, Q = integral + term, Q + noise
    F = eye + matmul(A, integral)
    return _double(F, Q, integral, halvings)


# Outside `jit` its operations, one by one, would compile for seconds.
_transitions = jax.jit(jax.vmap(_exact, (None, None, 0)))


def _double(F, Q, integral, halvings):
    def step(carry, k):
        F, Q, integral = carry
        doubled = matmul(F, F), Q + matmul(matmul(F, Q), F.T), integral + matmul(F, integral)
        return jax.tree.map(lambda a, b: jnp.where(k < halvings, a, b), doubled, carry), None

    steps = jnp.arange(DOUBLINGS, dtype=halvings.dtype)
    F, Q, integral = rollout(step, (F, Q, integral), steps)[0]
    return F, 0.5 * (Q + Q.T), integral
