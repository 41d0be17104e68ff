"""The parts of every Gaussian filter: belief, estimate, update and step.

A filter is two functions, from which `gaussian_filter` makes a stepper:

    predict(belief, x) -> Predicted(m, P, C)        the state a step later
    observe(predicted, x) -> Expected(mu, S, C)     the observation, before it is known

A new filter is one file with these two functions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial, register_dataclass

from filters.covariance import as_float_array, check_semidefinite, symmetric
from sim import Stepper
from sim.linalg import PRODUCT_LIMIT
from sim.step import as_pytree

LOG_2PI = float(np.log(2 * np.pi))
# Beyond this many components, one at a time compiles slowly and runs no faster.
SCALARS = 12


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
    """The output of a Gaussian filter for a step, with all that a smoother needs.

    Attributes:
        m, P: the state given the observations up to this one, (n,) and (n, n).
        m_pred, P_pred: the state given those before it.
        C: cov(state a step before, state) given those before it, (n, n).
        innovation: the observation less its expectation, (m,); NaN where missing.
        S: the covariance of the innovation, (m, m).
        loglik: log p(y of this step | those before it), constants included; the sum
            over the steps is the log-likelihood of the record.

    Under `jit`, parts that are not used are neither computed nor stored.
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
    """The carry of a Gaussian filter. ``fresh`` is None unless the prior belongs to the
    first observed state; then it is True until that state has been observed.
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
    states: int | None = None,
) -> Stepper:
    """A filter from its prediction of the state and of the observation.

        (m, P)ₖ₋₁  →  predict  →  observe  →  condition on yₖ  →  (m, P)ₖ

    Args:
        predict: ``predict(Gaussian, x) -> Predicted``.
        observe: ``observe(Gaussian, x) -> Expected``.
        split: ``split(x) -> (y, x)``, the observation (m,) and the x of the other two.
        residual: ``residual(y, mu) -> (m,)``, the innovation of an observation that is
            not subtracted, such as an angle; None is y − μ. It is never called with a
            NaN: a missing component of y comes as μ.
        retract: ``retract(m, dx) -> m``, the state that lies dx (n,) away from m, for
            a state on a manifold; None is m + dx. m may then be longer than P is wide.
        update: ``update(Predicted, Expected, y) -> (Gaussian, loglik)``; None is
            `condition`. `filters.robust` has others.
        states: n, if known; a prior of another size then raises ValueError.

    Returns:
        A stepper: ``init(prior, on_first=False)`` takes the `Gaussian` of the state one
        step before the first observation, or of the first observed state itself;
        its step emits an `Estimate`.
    """
    functions = tuple(map(as_pytree, (predict, observe, split, update or condition)))
    residual, retract = (g if g is None else as_pytree(g) for g in (residual, retract))
    return Stepper(_Init(retract, states), Partial(_step, functions, residual, retract))


def parts(name: str, stepper: Stepper) -> tuple:
    """(functions, residual, retract) of a filter; ValueError unless `gaussian_filter` made it."""
    step = stepper.step.func if isinstance(stepper.step, Partial) else stepper.step
    if step is not _step:
        origin = step.__module__ if callable(step) else step
        raise ValueError(
            f"{name}: expected a filter that gaussian_filter made, got one of {origin}"
        )
    return stepper.step.args


def with_update(stepper: Stepper, update: Callable) -> Stepper:
    """The same filter with another update; ValueError unless `gaussian_filter` made it."""
    (*functions, old), residual, retract = parts("with_update", stepper)
    if isinstance(old, Partial) and old.func is update_where_seen:
        update = Partial(update_where_seen, as_pytree(update))
    return stepper._replace(step=Partial(_step, (*functions, as_pytree(update)), residual, retract))


def update_where_seen(update, state, expected: Expected, y):
    """An update that ignores missing rows, which may not be finite: a bearing at distance 0."""
    seen = ~jnp.isnan(y)
    mu = jnp.where(seen, expected.mu, 0)
    S = jnp.where(seen[:, None] & seen[None, :], expected.S, 0)
    C = jnp.where(seen[None, :], expected.C, 0)
    return update(state, Expected(mu, S, C), y)


@register_dataclass
@dataclass(frozen=True)
class _Init:
    retract: Callable | None
    states: int | None = field(metadata={"static": True})

    def __call__(self, prior: Gaussian, on_first: bool = False) -> Filtering:
        m, P = validate_prior(prior, self.states, self.retract is not None)
        return Filtering(m, P, jnp.asarray(True) if on_first else None)


def validate_prior(prior, states=None, manifold=False) -> Gaussian:
    """The prior as arrays of one dtype; ``states`` is n of the model, if known.

    Raises:
        ValueError: mean and covariance differ in size, or P is no covariance.
    """
    m, P = as_float_array(prior[0]), as_float_array(prior[1])
    n = states if states is not None else P.shape[:1] if manifold else m.shape[:1]
    n = n if isinstance(n, tuple) else (n,)
    if m.ndim != 1 or P.shape != 2 * n or (not manifold and m.shape != n):
        size = "n" if states is None else states
        raise ValueError(
            f"prior: expected a mean ({size},) and a covariance ({size}, {size}), "
            f"got {m.shape} and {P.shape}"
        )
    check_semidefinite("prior.P", P)
    dtype = jnp.promote_types(m.dtype, P.dtype)
    return Gaussian(m.astype(dtype), P.astype(dtype))


def _step(functions, residual, retract, carry: Filtering, x):
    predict, observe, split, update = functions
    y, x = split(x)
    before = Gaussian(carry.m, carry.P)
    after = predict(before, x)
    if carry.fresh is not None:
        unmoved = Predicted(before.m, before.P, before.P)
        after = Predicted(
            *(jnp.where(carry.fresh, a, b) for a, b in zip(unmoved, after, strict=True))
        )
    expected = observe(Gaussian(after.m, after.P), x)
    y = check_observation(y, expected.mu)
    v = innovation(residual, y, expected.mu)
    # About zero, the update gives the correction dx of the state from the innovation v.
    origin = Gaussian(jnp.zeros_like(after.P[0]), after.P)
    centred = expected._replace(mu=jnp.zeros_like(expected.mu))
    # A state that is not finite must show: infinity, as NaN would pass for a missing y.
    lost = jnp.isnan(v) & ~jnp.isnan(y)
    (dx, P), loglik = update(origin, centred, jnp.where(lost, jnp.inf, v))
    posterior = Gaussian(after.m + dx if retract is None else retract(after.m, dx), P)
    estimate = Estimate(*posterior, *after, v, expected.S, loglik)
    fresh = None if carry.fresh is None else jnp.zeros_like(carry.fresh)
    return Filtering(*posterior, fresh), estimate


def check_observation(y, mu):
    """The observation in the dtype of its expectation; ValueError unless the shapes agree."""
    y = jnp.asarray(y).astype(mu.dtype)
    if y.shape != mu.shape:
        raise ValueError(f"y: expected shape {mu.shape}, got {y.shape}")
    return y


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

    and the same for the remaining components of y, so that a correlated S needs neither
    whitening nor an inverse. A NaN component of y is missing: it alone is skipped, before
    the arithmetic, so that no NaN reaches a gradient. A component that those before it
    determine to rounding, such as a repetition without noise, is skipped too. Where the
    state is too large for the compiled loop, or y has more than 12 components, the library
    takes all at once. Below those sizes every array may have one more axis, the last: many
    independent problems of one size, side by side.

    Args:
        state: anything with the mean ``m`` (n,) and the covariance ``P`` (n, n) of x.
        expected: the mean and covariance of y, and the covariance of x and y.
        y: the observation (m,).

    Returns:
        The posterior `Gaussian`, its covariance exactly symmetric if P is, and the
        log-likelihood of the observed components, 0 for none.

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
    if (P.shape[0] > PRODUCT_LIMIT and y.shape[0] > 1) or y.shape[0] > SCALARS:
        return _at_once(m, P, jnp.where(seen, y - mu, 0), S, C, seen)
    loglik = jnp.zeros(m.shape[1:], m.dtype)
    rounding = 4 * float(jnp.finfo(S.dtype).eps)
    for i in range(y.shape[0]):
        used = seen[i] & ~(abs(S[i, i]) <= rounding * expected.S[i, i])
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
    """The same by a Cholesky factor; a missing component has unit variance and no effect.

    The diagonal is raised by its rounding error, so that the factor exists even with a
    determined component: its pivot is no larger than that, and it has no effect either.
    """
    eye = jnp.eye(len(v), dtype=S.dtype)
    seen = seen & ~(jnp.diag(S) <= 0)
    S = jnp.where(seen[:, None] & seen[None, :], S, eye)
    rounding = 8 * len(v) * float(jnp.finfo(S.dtype).eps)
    root = jnp.linalg.cholesky(S + rounding * eye * S)
    used = seen & ~(jnp.diag(root) ** 2 <= 2 * rounding * jnp.diag(S))
    both = jnp.concatenate([jnp.where(seen[:, None], C.T, 0), v[:, None]], axis=1)
    both = jax.scipy.linalg.solve_triangular(root, both, lower=True)
    both = jnp.where(used[:, None], both, 0)
    G, z = both[:, :-1], both[:, -1]
    logs = jnp.where(used, 2 * jnp.log(jnp.diag(root)) + LOG_2PI, 0)
    return Gaussian(m + z @ G, P - symmetric(G.T @ G)), -0.5 * (z @ z + jnp.sum(logs))
