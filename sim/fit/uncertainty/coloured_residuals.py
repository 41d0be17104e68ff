"""How far to trust parameters where the residuals are coloured.

With the residuals white, cov z = σ² (JᵀJ)⁻¹. Those of an output error seldom are: noise and
all that a model leaves out have a memory. What they add up to along each direction is then
mostly far more than σ² says.
"""

from typing import NamedTuple

import jax
import numpy as np

from sim.fit.problem.jacobian import errors_with_jacobian
from sim.fit.result import Fit, Uncertainty
from sim.fit.uncertainty.autoregression import Autoregression, autoregression
from sim.fit.uncertainty.covariance import covariance_factor, linearisation_at_minimum
from sim.fit.uncertainty.robust_covariance import huber_at_minimum, score
from sim.fit.uncertainty.standard_errors import propagate


class WeightedRows(NamedTuple):
    """One experiment: its weighted errors (N, outputs), NaN where missing, and their slopes
    (N, outputs, k) along k directions."""

    r: np.ndarray
    J: np.ndarray


def coloured_uncertainty(found: Fit) -> Uncertainty:
    """The covariance of parameters under residuals with a memory.

        cov z = (JᵀJ)⁻¹ [Σ_k Σ_l J_k R(k − l) J_lᵀ] (JᵀJ)⁻¹

    R is that of an autoregression fitted to the residuals of each output; between outputs, that
    of what these leave. R(0) is larger than the residuals show by what the fit has taken from
    them: of white noise this is m / (m − n). The degrees of freedom are those that residuals of
    such a memory leave to σ², (Σ_τ ρ(τ)²)⁻¹ for each sample, less the n fitted.

    Residuals that still hold the input are taken as noise too: these intervals say how far the
    parameters would scatter, not how far a wrong model has moved them.

    Args:
        found: of a `Simulation`, in one piece.

    Returns:
        An `Uncertainty`, for ``found._replace(uncertainty=…)``: `bands` of that follow it.

    Raises:
        ValueError: a fit of a likelihood, whose filter models the noise; one of segments that
            stayed apart; or one without a covariance.

    Reference: L. Ljung, *System Identification*, 2nd ed., Prentice Hall 1999, chapter 9;
    W. K. Newey and K. D. West, Econometrica 55 (1987) 703-708.

    >>> import jax.numpy as jnp
    >>> from sim import Stepper
    >>> from sim.fit import Experiment, Simulation, fit
    >>> def model(p):   # what is seen is p, throughout
    ...     return Stepper(jnp.asarray, lambda s, _: (s, p["level"]))
    >>> y = jnp.cumsum(jnp.asarray(np.random.default_rng(0).normal(size=(200, 1))), axis=0)
    >>> found = fit(Simulation(model), {"level": 1.0}, Experiment(None, y), states=0.0, free_states=False)
    >>> found.uncertainty.standard_error.round(2).tolist(), coloured_uncertainty(found).standard_error.round(2).tolist()
    ([0.32], [3.21])
    """
    problem, z = found.problem, found.minimum
    if problem.objective.is_likelihood:
        raise ValueError(
            "found: expected a fit of a simulation, got one of a likelihood, whose "
            "filter models the noise"
        )
    if problem.join is not None:
        raise ValueError(
            "found: expected a fit in one piece, got one of segments that stayed apart"
        )
    if found.uncertainty.covariance is None:
        raise ValueError(
            f"found: expected a fit with a covariance, got {found.uncertainty.open[0]}"
        )
    robust, weights = problem.objective.robust, problem.weights
    if robust is None:
        at = linearisation_at_minimum(found)
    else:
        problem, _, at = huber_at_minimum(found)
    by = covariance_factor(problem, z, at)
    if not by.variance > 0:
        return found.uncertainty
    W, held = by.bare, 0.0
    rows = _weighted_rows(problem, z, W)
    if robust is not None:
        h = np.asarray(problem.weights / weights)[None]
        rows = [one._replace(r=np.asarray(score(robust, one.r / h)[0]) / h) for one in rows]
    r = np.concatenate(
        [np.append(one.r, np.full((1, one.r.shape[1]), np.nan), axis=0) for one in rows]
    )
    noise = [autoregression(column) for column in r.T]
    between = _cross_covariance(r, noise)
    K = sum(_sandwich(one.J, noise, between) for one in rows)
    K /= max(1 - np.trace(K) / np.nansum(r * r), 0.1)
    if problem.prior_count:  # a prior has its own standard deviation, and no memory
        P = np.eye(len(K)) - sum(np.einsum("kia,kib->ab", one.J, one.J) for one in rows)
        K, held = K + P, np.trace(P)
    shares, Q = np.linalg.eigh((K + K.T) / 2)
    W = W @ Q * np.sqrt(np.maximum(shares, 0))
    told = propagate(problem, z, W, by.unseen, by.scale)
    return told._replace(degrees=max(_degrees_of_freedom(r, noise) - problem.unknowns + held, 1.0))


def _weighted_rows(problem, z, W) -> list[WeightedRows]:
    """Each experiment's rows, along the columns of W."""
    n, m, found = problem.parameter_count, problem.states.size, []
    W = W * np.r_[np.ones(n), np.asarray(problem.unit[n:], float)][:, None]
    own = n
    for group, (r, J) in zip(problem.groups, _errors_and_slopes(problem, z), strict=True):
        y = np.asarray(group.y)
        if group.y0 is not None:
            y = np.concatenate([np.asarray(group.y0)[:, None], y], axis=1)
        for seen, r, J in zip(np.isfinite(y), np.asarray(r), np.asarray(J), strict=True):
            J = J @ W[np.r_[:n, own : own + m]]
            found.append(
                WeightedRows(
                    np.where(seen, r.reshape(seen.shape), np.nan).astype(float),
                    J.reshape(*seen.shape, -1),
                )
            )
            own += m
    return found


@jax.jit
def _errors_and_slopes(problem, z):
    """Of each group the weighted errors (E, N · outputs), and their slopes along (θ, s)."""
    theta, states = problem.split_vector(z)
    found = []
    for group, given, s in zip(problem.groups, problem.initial_states, states, strict=True):
        size = (group.y.shape[1] + (group.y0 is not None)) * group.y.shape[2]

        def one(s, e, given):
            (r, _), (J, _) = errors_with_jacobian(problem, theta, s, e, given)
            return r[:size], J[:size]  # the rest is what is known of the state

        found.append(jax.vmap(one)(s, group, given))
    return found


def _cross_covariance(r, noise: list[Autoregression]) -> np.ndarray:
    """Γ(τ) (lags, outputs, outputs): the covariance of what the autoregressions leave, one
    output τ samples after another, with the weights of Bartlett that keep it positive."""
    white = r.copy()
    for i, (a, _) in enumerate(noise):
        for k in np.flatnonzero(a[1:]) + 1:  # not by a filter: 0 times what is missing is missing
            white[k:, i] += a[k] * r[:-k, i]
            white[:k, i] = np.nan
    seen, white = np.isfinite(white), np.nan_to_num(white)
    sd = np.sqrt([one.variance for one in noise])
    rms = np.sqrt(np.sum(white**2, axis=0) / seen.sum(axis=0))
    # An output by itself is white by now.
    lags = int(np.cbrt(len(r))) if len(sd) > 1 else 0
    found = []
    for lag in range(lags + 1):
        after, before = slice(lag, None), slice(len(r) - lag)
        pairs = np.maximum(seen[after].T.astype(float) @ seen[before], 1)
        found.append((1 - lag / (lags + 1)) * (white[after].T @ white[before]) / pairs)
    size = np.where(rms > 0, sd / np.where(rms > 0, rms, 1), 0)
    return np.stack(found) * size * size[:, None]


def _sandwich(J, noise: list[Autoregression], between) -> np.ndarray:
    """Σ_k Σ_l J_k R(k − l) J_lᵀ (k, k), by the slopes filtered backwards in time."""
    from scipy.signal import lfilter

    length, outputs, k = J.shape
    h = [len(one.impulse(length)) for one in noise]
    back = np.concatenate([J[::-1], np.zeros((max(h) - 1, outputs, k))])
    V = np.stack([lfilter([1.0], one.a, back[:, i], axis=0) for i, one in enumerate(noise)], axis=1)
    V, total = V[::-1], np.zeros((k, k))
    for lag, covariance in enumerate(between):
        pairs = V[lag:].reshape(-1, outputs * k).T @ V[: len(V) - lag].reshape(-1, outputs * k)
        part = np.einsum("iajb,ij->ab", pairs.reshape(outputs, k, outputs, k), covariance)
        total += part + part.T if lag else part
    return total


def _degrees_of_freedom(r, noise: list[Autoregression]) -> float:
    """(Σ R(0))² / Σ Σ_τ R(τ)², over all samples: those that white noise would need to tell its
    variance as well."""
    from scipy.signal import fftconvolve

    total = squares = 0.0
    for e, one in zip(r.T, noise, strict=True):
        seen, h = np.isfinite(e).sum(), one.impulse(len(e))
        R = one.variance * fftconvolve(h, h[::-1])
        total += seen * R[len(h) - 1]
        squares += seen * np.sum(R**2)
    return total**2 / squares
