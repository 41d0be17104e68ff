"""What every Gaussian filter shares: the belief, what a step emits, and conditioning.

A filter is two functions, one that predicts and one that says what it expects to
observe; this module does the rest:

    predict(belief, x) -> Predicted(m, P, C)        the state a step later
    observe(predicted, x) -> Expected(mu, S, C)     the observation, before it is seen

A newcomer adds a filter in one file: these two functions and `gaussian_filter`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sim import Stepper
from sim.linalg import PRODUCT_LIMIT
from sim.step import as_pytree

LOG_2PI = float(np.log(2 * np.pi))


class Gaussian(NamedTuple):
    """A belief about the state: mean m (n,) and covariance P (n, n)."""

    m: Any
    P: Any


class Predicted(NamedTuple):
    """The state a step later: m (n,), P (n, n), and C = cov(before, after) (n, n)."""

    m: Any
    P: Any
    C: Any


class Expected(NamedTuple):
    """The observation to come: mean mu (m,), covariance S (m, m), C = cov(state, it) (n, m)."""

    mu: Any
    S: Any
    C: Any


class Estimate(NamedTuple):
    """What a Gaussian filter emits for a step, and all that a smoother needs.

    Attributes:
        m, P: the state given the observations up to this one, (n,) and (n, n).
        m_pred, P_pred: the state given those before it.
        C: cov(state a step before, state) given those before it, (n, n).
        innovation: the observation less its expectation, (m,); NaN where missing.
        S: the covariance of the innovation, (m, m).
        loglik: log p(y of this step | those before it), constants included; the sum
            over the steps is the log-likelihood of the record.

    Under `jit`, what is not used of it is neither computed nor stored.
    """

    m: Any
    P: Any
    m_pred: Any
    P_pred: Any
    C: Any
    innovation: Any
    S: Any
    loglik: Any


class Filtering(NamedTuple):
    """The carry of a Gaussian filter: the belief; ``fresh`` until a first prior is used.

    ``fresh`` is None unless the prior belongs to the first observed state; then it is
    True until that state has been observed.
    """

    m: Any
    P: Any
    fresh: Any = None


def gaussian_filter(
    predict: Callable,
    observe: Callable,
    split: Callable,
    *,
    residual: Callable | None = None,
    retract: Callable | None = None,
    update: Callable | None = None,
) -> Stepper:
    """A filter from what it predicts and what it expects to observe.

        (m, P)ₖ₋₁  →  predict  →  observe  →  condition on yₖ  →  (m, P)ₖ

    Args:
        predict: ``predict(Gaussian, x) -> Predicted``.
        observe: ``observe(Gaussian, x) -> Expected``.
        split: ``split(x) -> (y, x)``, the observation (m,) and what the other two see.
        residual: ``residual(y, mu) -> (m,)``, the innovation of an observation that is
            not subtracted, such as an angle; None is y − μ. It is never called with a
            NaN: a missing component of y comes as μ.
        retract: ``retract(m, dx) -> m``, the state that lies dx (n,) away from m, for
            a state on a manifold; None is m + dx. m may then be longer than P is wide.
        update: ``update(Predicted, Expected, y) -> (Gaussian, loglik)``; None is
            `condition`. `filters.robust` has others.

    Returns:
        A stepper: ``init(prior, on_first=False)`` takes the `Gaussian` of the state one
        step before the first observation, or of the first observed state itself;
        its step emits an `Estimate`.
    """
    functions = tuple(map(as_pytree, (predict, observe, split, update or condition)))
    residual, retract = (g if g is None else as_pytree(g) for g in (residual, retract))
    return Stepper(Partial(_init, retract), Partial(_step, functions, residual, retract))


def with_update(stepper: Stepper, update: Callable) -> Stepper:
    """The same filter with another update; see `gaussian_filter`.

    Raises:
        ValueError: the stepper is not one that `gaussian_filter` made.
    """
    if getattr(stepper.step, "func", None) is not _step:
        raise ValueError(f"stepper: expected one that gaussian_filter made, got {stepper.step!r}")
    functions, residual, retract = stepper.step.args
    return gaussian_filter(*functions[:3], residual=residual, retract=retract, update=update)


def _init(retract, prior: Gaussian, on_first: bool = False) -> Filtering:
    m, P = floating(prior[0]), floating(prior[1])
    dtype = jnp.promote_types(m.dtype, P.dtype)
    n = m.shape[:1] if retract is None else P.shape[:1]
    if m.ndim != 1 or P.shape != 2 * n:
        raise ValueError(
            f"prior: expected a mean (n,) and a covariance (n, n), got {m.shape} and {P.shape}"
        )
    check_semidefinite("prior.P", P)
    return Filtering(m.astype(dtype), P.astype(dtype), jnp.asarray(True) if on_first else None)


def _step(functions, residual, retract, carry: Filtering, x):
    predict, observe, split, update = functions
    y, x = split(x)
    before = Gaussian(carry.m, carry.P)
    after = predict(before, x)
    if carry.fresh is not None:
        held = Predicted(before.m, before.P, before.P)
        after = Predicted(*(jnp.where(carry.fresh, a, b) for a, b in zip(held, after, strict=True)))
    expected = observe(Gaussian(after.m, after.P), x)
    y = jnp.asarray(y).astype(after.m.dtype)
    if y.shape != expected.mu.shape:
        raise ValueError(f"y: expected shape {expected.mu.shape}, got {y.shape}")
    v = innovation(residual, y, expected.mu)
    # About zero: what is learned of the state is then dx, and of the observation v.
    origin = Gaussian(jnp.zeros_like(after.P[0]), after.P)
    centred = expected._replace(mu=jnp.zeros_like(expected.mu))
    (dx, P), loglik = update(origin, centred, v)
    posterior = Gaussian(after.m + dx if retract is None else retract(after.m, dx), P)
    estimate = Estimate(*posterior, *after, v, expected.S, loglik)
    fresh = None if carry.fresh is None else jnp.zeros_like(carry.fresh)
    return Filtering(*posterior, fresh), estimate


def innovation(residual, y, mu):
    """y less μ, by a residual or by subtraction; NaN where y is missing."""
    if residual is None:
        return y - mu
    seen = ~jnp.isnan(y)
    v = jnp.asarray(residual(jnp.where(seen, y, mu), mu))
    if v.shape != y.shape:
        raise ValueError(f"residual: expected shape {y.shape}, as y has, got {v.shape}")
    return jnp.where(seen, v.astype(y.dtype), jnp.nan)


def condition(state, expected: Expected, y) -> tuple[Gaussian, Any]:
    """p(x | y) and log p(y) for jointly Gaussian x and y, one scalar of y at a time.

        w = 1 / Sᵢᵢ,   m ← m + C eᵢ w (yᵢ − μᵢ),   P ← P − w (C eᵢ)(C eᵢ)ᵀ

    and the same for the components of y still to come, so that a correlated S needs
    neither whitening nor an inverse. A NaN component of y is missing: it alone is
    skipped, before the arithmetic, so that no NaN reaches a gradient. Where the state is
    too large for the compiled loop anyway, all components are taken at once, by the
    library. Up to there every array may have one more axis, the last: many independent
    problems of one size, side by side.

    Args:
        state: anything with the mean ``m`` (n,) and the covariance ``P`` (n, n) of x.
        expected: the mean and covariance of y, and the covariance of x and y.
        y: the observation (m,).

    Returns:
        The posterior `Gaussian`, its covariance exactly symmetric where P is, and the
        log-likelihood of the components seen, 0 for none.

    Reference: G. J. Bierman, "Factorization Methods for Discrete Sequential
    Estimation", Academic Press 1977, chapter V.

    >>> prior = Gaussian(jnp.zeros(1), jnp.eye(1))
    >>> both = Expected(jnp.zeros(2), jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.ones((1, 2)))
    >>> posterior, _ = condition(prior, both, jnp.array([1.0, jnp.nan]))
    >>> posterior.m.round(12).tolist(), posterior.P.round(12).tolist()
    ([0.5], [[0.5]])
    """
    m, P = state.m, state.P
    mu, S, C = expected
    seen = ~jnp.isnan(y)
    if P.shape[0] > PRODUCT_LIMIT and y.shape[0] > 1:
        return _at_once(m, P, jnp.where(seen, y - mu, 0), S, C, seen)
    loglik = jnp.zeros(m.shape[1:], m.dtype)
    for i in range(y.shape[0]):
        # A noise-free repetition of what was seen before has no variance left, and no news.
        used = seen[i] & (S[i, i] != 0)
        s = jnp.where(used, S[i, i], 1)
        v = jnp.where(used, y[i] - mu[i], 0)
        # One division and no root; g gᵀ w is still symmetric to the last bit.
        w = jnp.where(used, 1 / s, 0)
        g, h = C[:, i], S[:, i]
        m = m + g * (w * v)[None]
        P = P - g[:, None] * g[None, :] * w[None, None]
        loglik = loglik - 0.5 * (w * v * v + jnp.where(used, jnp.log(s) + LOG_2PI, 0))
        if i + 1 < y.shape[0]:
            mu = mu + h * (w * v)[None]
            C = C - g[:, None] * h[None, :] * w[None, None]
            S = S - h[:, None] * h[None, :] * w[None, None]
    return Gaussian(m, P), loglik


def _at_once(m, P, v, S, C, seen):
    """The same by a Cholesky factor; a missing component has unit variance and no part."""
    S = jnp.where(seen[:, None] & seen[None, :], S, jnp.eye(len(v), dtype=S.dtype))
    root = jnp.linalg.cholesky(S)
    both = jnp.concatenate([jnp.where(seen[:, None], C.T, 0), v[:, None]], axis=1)
    both = jax.scipy.linalg.solve_triangular(root, both, lower=True)
    G, z = both[:, :-1], both[:, -1]
    logs = jnp.where(seen, 2 * jnp.log(jnp.diag(root)) + LOG_2PI, 0)
    return Gaussian(m + z @ G, P - symmetric(G.T @ G)), -0.5 * (z @ z + jnp.sum(logs))


def floating(x):
    """x as an array of floats; whole numbers become the default float."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


def symmetric(P):
    """(P + Pᵀ) / 2."""
    return 0.5 * (P + P.T)


def check_semidefinite(name, P):
    """Raise where a concrete (…, n, n) matrix, or (…, n) diagonal, is no covariance."""
    try:
        P = np.asarray(P, float)
    except Exception:  # a tracer: its numbers are not known yet
        return
    if not np.all(np.isfinite(P)):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    if P.ndim >= 2 and P.shape[-1] == P.shape[-2]:
        scale = np.abs(P).max(initial=0.0)
        if not np.allclose(P, np.swapaxes(P, -1, -2), rtol=0, atol=1e-6 * scale):
            raise ValueError(f"{name}: expected a symmetric matrix, got {P.tolist()}")
        least = np.linalg.eigvalsh(P).min(initial=0.0)
        if least < -1e-6 * scale:
            raise ValueError(
                f"{name}: expected a positive semi-definite matrix, got an eigenvalue {least:.3g}"
            )
    elif P.min(initial=0.0) < 0:
        raise ValueError(f"{name}: expected variances of at least 0, got {P.min():.3g}")
