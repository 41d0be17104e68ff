"""The steady-state Kalman filter: covariance from a Riccati equation, constant gain."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.covariance import as_float_array, check_definite, symmetric
from filters.gaussian import LOG_2PI, Estimate, Gaussian, check_observation
from filters.kalman import LinearGaussian, affine, split, validate_model
from sim import Stepper, rollout
from sim.linalg import cho_solve, cholesky, solve_lower

DOUBLINGS = 40


class SteadyState(NamedTuple):
    """The covariances and the gain to which the Kalman filter of a constant model settles.

    Attributes:
        P_pred, P: (n, n), before and after an observation.
        S: (m, m), of the innovation.
        K: (n, m), the gain.
    """

    P_pred: Any
    P: Any
    S: Any
    K: Any


def riccati(F, Q, H, R):
    """The stabilising solution P (n, n) of the Riccati equation of the filter.

        P = F (P − P Hᵀ (H P Hᵀ + R)⁻¹ H P) Fᵀ + Q

    by doubling: 40 times the filter is composed with itself, which makes 2⁴⁰ steps. The
    derivative is that of the equation, not of the iteration,

        dP − Ā dP Āᵀ = the change of the right side at fixed P,   Ā = F (I − K H)

    in both modes and to any order.

    Args:
        F, Q, H, R: (n, n), (n, n), (m, n) and (m, m); H Q Hᵀ + R positive definite.

    Raises:
        ValueError: there is no steady state, as a mode that does not decay is not
            observed or not excited by Q; or H Q Hᵀ + R is singular, as it may be with a
            sensor without noise. Inside `jit` the result is then NaN.

    Reference: E. K.-W. Chu, H.-Y. Fan, W.-W. Lin and C.-S. Wang, International Journal
    of Control 77 (2004), the structure-preserving doubling algorithm.

    >>> level = (jnp.array([[a]]) for a in (1.0, 1469.1, 1.0, 15099.0))
    >>> riccati(*level).round(6).tolist()
    [[5501.257942]]
    """
    F, Q, H, R = map(as_float_array, (F, Q, H, R))
    check_definite("riccati", Q, H, R)
    P = _riccati(F, Q, H, R)
    if not isinstance(P, jax.core.Tracer) and not np.all(np.isfinite(P)):
        raise ValueError(
            "model: expected every mode that does not decay to be observed by H and excited "
            "by Q, got one for which the filter has no steady state"
        )
    return P


@jax.custom_jvp
def _riccati(F, Q, H, R):
    n, eye = F.shape[0], jnp.eye(F.shape[0], dtype=F.dtype)
    # The filter over one step, from a known state: x given y is A x₋ + … with covariance
    # C, and y holds the information J about x₋.
    L = cholesky(symmetric(H @ Q @ H.T + R))
    W = solve_lower(L, H)
    A = F - Q @ (W.T @ (W @ F))
    C = Q - (Q @ W.T) @ (W @ Q)
    J = (W @ F).T @ (W @ F)

    def double(carry, _):
        A, C, J = carry
        solved = jnp.linalg.solve(eye + C @ J, jnp.concatenate([A, C], axis=1))
        A1, C1 = solved[:, :n], solved[:, n:]
        return (A @ A1, symmetric(C + A @ C1 @ A.T), symmetric(J + A.T @ J @ A1)), None

    A, C, _ = rollout(double, (A, C, J), length=DOUBLINGS)[0]
    P = _map(symmetric(F @ C @ F.T) + Q, F, Q, H, R)
    # One more step, for the last digits; A → 0 only if the filter forgets its start.
    off = jnp.max(jnp.abs(_map(P, F, Q, H, R) - P)) / jnp.maximum(jnp.max(jnp.abs(P)), 1e-30)
    settled = (jnp.max(jnp.abs(A)) < 1e-3) & (off < 1e3 * float(jnp.finfo(P.dtype).eps))
    return jnp.where(settled, P, jnp.nan)


def _map(P, F, Q, H, R):
    W = solve_lower(cholesky(symmetric(H @ P @ H.T + R)), H @ P)
    return symmetric(F @ (P - W.T @ W) @ F.T + Q)


@_riccati.defjvp
def _riccati_jvp(primals, tangents):
    P = _riccati(*primals)
    F, _, H, R = primals
    _, change = jax.jvp(lambda *model: _map(P, *model), primals, tangents)
    gain = cho_solve(cholesky(symmetric(H @ P @ H.T + R)), H @ P).T
    return P, _stein(F @ (jnp.eye(F.shape[0], dtype=F.dtype) - gain @ H), change)


def _stein(A, X):
    """The solution of P = A P Aᵀ + X, all eigenvalues of A inside the unit circle."""

    def double(carry, _):
        A, X = carry
        return (A @ A, X + A @ X @ A.T), None

    return rollout(double, (A, X), length=DOUBLINGS)[0][1]


def steady_state(model: LinearGaussian) -> SteadyState:
    """The steady state of the Kalman filter of a constant model.

        K = P⁻ Hᵀ (H P⁻ Hᵀ + R)⁻¹,   P = P⁻ − K H P⁻

    Raises:
        ValueError: the model is wrong, or there is no steady state (see `riccati`).

    Reference: B. D. O. Anderson and J. B. Moore, "Optimal Filtering", Prentice-Hall
    1979, chapter 4.

    >>> level = LinearGaussian(F=[[1.0]], Q=[1469.1], H=[[1.0]], R=[15099.0])
    >>> steady_state(level).K.round(10).tolist()
    [[0.2670480126]]
    """
    model = validate_model(model)
    F, Q, H, R = model[:4]
    Q, R = (jnp.diag(a) if a.ndim == 1 else a for a in (Q, R))
    P_pred = riccati(F, Q, H, R)
    S = symmetric(H @ P_pred @ H.T + R)
    W = solve_lower(cholesky(S), H @ P_pred)
    return SteadyState(P_pred, P_pred - W.T @ W, S, cho_solve(cholesky(S), H @ P_pred).T)


def steady_state_kalman(model: LinearGaussian) -> Stepper:
    """The Kalman filter with the constant gain to which it settles.

        m ← m⁻ + K (y − H m⁻ − D u − d),   m⁻ = F m + B u + b

    An alpha-beta filter is of this kind. A NaN component of y adds nothing, but the
    covariance stays that of a complete record: with gaps, use the full filter.

    Args:
        model: constant matrices.

    Returns:
        A stepper: ``init(m)`` takes a mean (n,), or a `Gaussian` whose covariance is not
        read, of the state a step before the first observation; the input of its step is
        y (m,), or a mapping with "y" and "u". It emits an `Estimate`.

    Raises:
        ValueError: as `steady_state`; a matrix comes with the input.

    Reference: as `steady_state`.

    >>> model = LinearGaussian(F=[[1.0, 1.0], [0.0, 1.0]], Q=[[0.01, 0.02], [0.02, 0.04]],
    ...                        H=[[1.0, 0.0]], R=[[1.0]])
    >>> alpha, beta = steady_state(model).K[:, 0].round(10).tolist()
    >>> alpha, beta  # of the tracking index 0.2
    (0.4673280449, 0.1459687576)
    """
    model = validate_model(model)
    rest = steady_state(model)
    L = cholesky(rest.S)
    # P⁻ Hᵀ L⁻ᵀ: the gain of each whitened component of the innovation.
    moves = solve_lower(L, model.H @ rest.P_pred).T
    C = rest.P @ model.F.T
    return Stepper(Partial(_init, model.F), Partial(_step, (model, rest, L, moves, C)))


def _init(F, m):
    m = as_float_array(m.m if isinstance(m, Gaussian) else m)
    if m.shape != F.shape[:1]:
        raise ValueError(f"m: expected a mean {F.shape[:1]}, got shape {m.shape}")
    return m


def _step(constants, m, x):
    model, rest, L, moves, C = constants
    y, x = split(model, x)
    if set(x) - {"u"}:
        name = min(set(x) - {"u"})
        raise ValueError(f"xs: expected 'y' and 'u' for a constant model, got {name!r}")
    model, rest, L, moves, C = jax.tree.map(lambda a: a.astype(m.dtype), (model, rest, L, moves, C))
    m_pred = affine(model.F, m, model.B, x.get("u"), model.b)
    mu = affine(model.H, m_pred, model.D, x.get("u"), model.d)
    y = check_observation(y, mu)
    seen = ~jnp.isnan(y)
    v = jnp.where(seen, y - mu, 0)
    m, loglik = m_pred, jnp.zeros((), m.dtype)
    for i in range(y.shape[0]):
        z = jnp.where(seen[i], v[i] / L[i, i], 0)
        v = v - L[:, i] * z
        m = m + moves[:, i] * z
        log = 2 * jnp.log(L[i, i]) + LOG_2PI
        loglik = loglik - 0.5 * (z * z + jnp.where(seen[i], log, 0))
    return m, Estimate(m, rest.P, m_pred, rest.P_pred, C, y - mu, rest.S, loglik)
