"""Least squares in a few parameters, as a step."""

from functools import partial

import jax
import jax.numpy as jnp

from sim import rollout


def levenberg_marquardt(residual, p, steps: int):
    """Nonlinear least squares: min ½ |r(p)|².

        (JᵀJ + λ diag JᵀJ) δ = −Jᵀ r;   p ← p + δ, λ ← λ/5 if the sum falls, else λ ← 3 λ

    Args:
        residual: p (n,) → r (m,), differentiable forwards.
        p: where to start.
        steps: how many are taken.

    Returns:
        p (n,), and the loss at the start and after each step (steps + 1,).

    Reference: D. W. Marquardt, "An algorithm for least-squares estimation of nonlinear
    parameters", SIAM J. 11 (1963).

    >>> p, loss = levenberg_marquardt(lambda p: p * p - 2, jnp.array([1.0]), 8)
    >>> round(float(p[0]), 6)
    1.414214
    """
    loss = _half_square(residual(p))
    damping = jnp.asarray(1e-2, p.dtype)
    step = partial(_marquardt_step, residual)
    (p, _, _), after = rollout(step, (p, damping, loss), length=steps)
    return p, jnp.concatenate([loss[None], after])


def _marquardt_step(residual, carry, _):
    p, damping, loss = carry
    r, J = residual(p), jax.jacfwd(residual)(p)
    scale = jnp.sqrt(jnp.sum(J * J, axis=0))
    # A parameter that changes nothing (yet) is held by a share of the others' scale.
    scale = jnp.maximum(scale, 1e-4 * jnp.max(scale) + jnp.finfo(p.dtype).tiny)
    # By QR of J itself: the squares JᵀJ would lose half the digits.
    held = jnp.concatenate([J / scale[None], jnp.sqrt(damping) * jnp.eye(len(p), dtype=p.dtype)])
    Q, R = jnp.linalg.qr(held)
    delta = -jax.scipy.linalg.solve_triangular(R, Q[: len(r)].T @ r) / scale
    tried = _half_square(residual(p + delta))
    better = tried < loss  # not where it is NaN
    p, loss = jnp.where(better, p + delta, p), jnp.where(better, tried, loss)
    damping = jnp.clip(jnp.where(better, damping / 5, damping * 3), 1e-12, 1e12)
    return (p, damping, loss), loss


def _half_square(r):
    return 0.5 * jnp.sum(r * r)
