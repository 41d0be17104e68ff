"""Covariance of the parameters where the residuals are coloured.

With white residuals, cov z = σ² (JᵀJ)⁻¹. The residuals of an output error are seldom white: both
noise and unmodelled dynamics have a memory. Their sum along each direction is then mostly far
larger than σ² predicts.
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
    """One experiment: its weighted errors (N, outputs), NaN where missing, and their derivatives
    (N, outputs, k) along k directions."""

    r: np.ndarray
    J: np.ndarray


def coloured_uncertainty(found: Fit) -> Uncertainty:
    """The covariance of the parameters where the residuals have a memory.

        cov z = (JᵀJ)⁻¹ [Σ_k Σ_l J_k R(k − l) J_lᵀ] (JᵀJ)⁻¹

    R is the autocovariance of an autoregression fitted to the residuals of each output; between
    outputs, that of its innovations. A fit makes its residuals smaller than the noise, so R(0) is
    scaled up: by m / (m − n) for white noise. The degrees of freedom are those of σ² estimated
    from residuals with such a memory, (Σ_τ ρ(τ)²)⁻¹ for each sample, less the n fitted.

    Residuals that still depend on the input are treated as noise too: the intervals state the
    variance of the parameters, not the bias of a wrong model.

    Args:
        found: a fit of a `Simulation`, in one piece.

    Returns:
        An `Uncertainty`, for ``found._replace(uncertainty=…)``; `bands` of that fit use it.

    Raises:
        ValueError: the fit is of a likelihood, whose filter models the noise; its segments did
            not meet; or it has no covariance.

    Reference: L. Ljung, *System Identification*, 2nd ed., Prentice Hall 1999, chapter 9;
    W. K. Newey and K. D. West, Econometrica 55 (1987) 703-708.

    >>> import jax.numpy as jnp
    >>> from sim import Stepper
    >>> from sim.fit import Experiment, Simulation, fit
    >>> def model(p):   # its output is p["level"] at all times
    ...     return Stepper(jnp.asarray, lambda s, _: (s, p["level"]))
    >>> y = jnp.cumsum(jnp.asarray(np.random.default_rng(0).normal(size=(200, 1))), axis=0)
    >>> e = Experiment(None, y)
    >>> found = fit(Simulation(model), {"level": 1.0}, e, states=0.0, free_states=False)
    >>> found.uncertainty.standard_error.round(2).tolist()
    [0.32]
    >>> coloured_uncertainty(found).standard_error.round(2).tolist()
    [3.21]
    """
    _check_suitable(found)
    problem, z, linearisation = found.problem, found.minimum, linearisation_at_minimum(found)
    robust, weights = problem.objective.robust, problem.weights
    if robust is not None:
        problem, _, linearisation = huber_at_minimum(found)
    factor = covariance_factor(problem, z, linearisation)
    if not factor.variance > 0:
        return found.uncertainty
    W, prior_parameters = factor.unscaled, 0.0
    experiments = _weighted_rows(problem, z, W)
    if robust is not None:
        h = np.asarray(problem.weights / weights)[None]
        experiments = [
            rows._replace(r=np.asarray(score(robust, rows.r / h)[0]) / h) for rows in experiments
        ]
    r = np.concatenate(
        [np.append(rows.r, np.full((1, rows.r.shape[1]), np.nan), axis=0) for rows in experiments]
    )
    noise = [autoregression(column) for column in r.T]
    between = _cross_covariance(r, noise)
    K = sum(_sandwich(rows.J, noise, between) for rows in experiments)
    K /= max(1 - np.trace(K) / np.nansum(r * r), 0.1)
    if problem.prior_count:  # a prior has its own standard deviation, and no memory
        P = np.eye(len(K)) - sum(np.einsum("kia,kib->ab", rows.J, rows.J) for rows in experiments)
        K, prior_parameters = K + P, np.trace(P)
    shares, Q = np.linalg.eigh((K + K.T) / 2)
    W = W @ Q * np.sqrt(np.maximum(shares, 0))
    uncertainty = propagate(problem, z, W, factor.null_directions, factor.scale)
    degrees = _degrees_of_freedom(r, noise) - problem.unknowns + prior_parameters
    return uncertainty._replace(degrees=max(degrees, 1.0))


def _check_suitable(fit: Fit) -> None:
    """Raise ValueError unless it is a fit of a simulation in one piece, with a covariance."""
    if fit.problem.objective.is_likelihood:
        raise ValueError(
            "found: expected a fit of a simulation, got one of a likelihood, whose "
            "filter models the noise"
        )
    if fit.problem.join is not None:
        raise ValueError("found: expected a fit in one piece, got one whose segments did not meet")
    if fit.uncertainty.no_covariance is not None:
        reason = fit.uncertainty.no_covariance.describe()
        raise ValueError(f"found: expected a fit with a covariance, got {reason}")


def _weighted_rows(problem, z, W) -> list[WeightedRows]:
    """The rows of each experiment, along the columns of W."""
    n, m, experiments = problem.parameter_count, problem.states.size, []
    W = W * np.r_[np.ones(n), np.asarray(problem.unit[n:], float)][:, None]
    first = n
    for group, (errors, slopes) in zip(problem.groups, _errors_and_slopes(problem, z), strict=True):
        y = np.asarray(group.y)
        if group.y0 is not None:
            y = np.concatenate([np.asarray(group.y0)[:, None], y], axis=1)
        rows = zip(np.isfinite(y), np.asarray(errors), np.asarray(slopes), strict=True)
        for observed, r, J in rows:
            r = np.where(observed, r.reshape(observed.shape), np.nan).astype(float)
            J = J @ W[np.r_[:n, first : first + m]]
            experiments.append(WeightedRows(r, J.reshape(*observed.shape, -1)))
            first += m
    return experiments


@jax.jit
def _errors_and_slopes(problem, z):
    """For each group the weighted errors (E, N · outputs), and their derivatives with respect to
    (θ, s)."""
    theta, states = problem.split_vector(z)

    def rows_of_group(group, given, s):
        size = (group.y.shape[1] + (group.y0 is not None)) * group.y.shape[2]

        def rows_of_experiment(s, e, given):
            (r, _), (J, _) = errors_with_jacobian(problem, theta, s, e, given)
            return r[:size], J[:size]  # the other rows are the priors of the state

        return jax.vmap(rows_of_experiment)(s, group, given)

    return [
        rows_of_group(*group)
        for group in zip(problem.groups, problem.initial_states, states, strict=True)
    ]


def _cross_covariance(r, noise: list[Autoregression]) -> np.ndarray:
    """Γ(τ) (lags, outputs, outputs): the cross-covariance of the innovations of the
    autoregressions, one output τ samples after another. Bartlett's weights keep it positive."""
    white = r.copy()
    for i, (a, _) in enumerate(noise):
        for k in np.flatnonzero(a[1:]) + 1:  # a filter would give 0 · NaN = NaN
            white[k:, i] += a[k] * r[:-k, i]
            white[:k, i] = np.nan
    observed, white = np.isfinite(white), np.nan_to_num(white)
    sd = np.sqrt([model.variance for model in noise])
    rms = np.sqrt(np.sum(white**2, axis=0) / observed.sum(axis=0))
    # The innovations of a single output are white.
    lags = int(np.cbrt(len(r))) if len(sd) > 1 else 0
    covariances = []
    for lag in range(lags + 1):
        after, before = slice(lag, None), slice(len(r) - lag)
        pairs = np.maximum(observed[after].T.astype(float) @ observed[before], 1)
        covariances.append((1 - lag / (lags + 1)) * (white[after].T @ white[before]) / pairs)
    size = np.where(rms > 0, sd / np.where(rms > 0, rms, 1), 0)
    return np.stack(covariances) * size * size[:, None]


def _sandwich(J, noise: list[Autoregression], between) -> np.ndarray:
    """Σ_k Σ_l J_k R(k − l) J_lᵀ (k, k), from the derivatives filtered backwards in time."""
    from scipy.signal import lfilter

    length, outputs, k = J.shape
    memory = max(len(model.impulse(length)) for model in noise)
    back = np.concatenate([J[::-1], np.zeros((memory - 1, outputs, k))])
    V = np.stack(
        [lfilter([1.0], model.a, back[:, i], axis=0) for i, model in enumerate(noise)], axis=1
    )
    V, total = V[::-1], np.zeros((k, k))
    for lag, covariance in enumerate(between):
        pairs = V[lag:].reshape(-1, outputs * k).T @ V[: len(V) - lag].reshape(-1, outputs * k)
        part = np.einsum("iajb,ij->ab", pairs.reshape(outputs, k, outputs, k), covariance)
        total += part + part.T if lag else part
    return total


def _degrees_of_freedom(r, noise: list[Autoregression]) -> float:
    """(Σ R(0))² / Σ Σ_τ R(τ)², over all samples: the number of white samples that would determine
    the variance equally well."""
    from scipy.signal import fftconvolve

    total = squares = 0.0
    for e, model in zip(r.T, noise, strict=True):
        count, h = np.isfinite(e).sum(), model.impulse(len(e))
        R = model.variance * fftconvolve(h, h[::-1])
        total += count * R[len(h) - 1]
        squares += count * np.sum(R**2)
    return total**2 / squares
