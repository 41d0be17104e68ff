"""The bootstrap particle filter, for any model with a sampler and a density."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from filters.gaussian import as_float_array
from filters.kalman import split_observation
from filters.resampling import ancestors_of
from sim import Stepper
from sim.check import positive
from sim.step import as_pytree


class Cloud(NamedTuple):
    """The carry: particles (K, n) and their weights (K,), which sum to 1.

    ``fresh`` is None unless the first particles are of the first observed state; then
    it is True until that state has been observed.
    """

    particles: Any
    weights: Any
    fresh: Any = None


class ParticleEstimate(NamedTuple):
    """The output of the particle filter for a step.

    Attributes:
        m, P: weighted mean and covariance of the particles, (n,) and (n, n).
        ess: 1 / Σ w², the effective sample size before resampling, between 1 and K.
        loglik: the estimate of log p(y of this step | those before it); the exponential
            of the sum over the steps has the likelihood of the record as its mean.
        ancestors: (K,), which particle of the step before each one came from.
        particles, weights: (K, n) and (K,).

    Under `jit`, parts that are not used are neither computed nor stored.
    """

    m: Any
    P: Any
    ess: Any
    loglik: Any
    ancestors: Any
    particles: Any
    weights: Any


def bootstrap(
    transition: Callable, log_density: Callable, *, resample_below: float = 0.5
) -> Stepper:
    """The bootstrap particle filter: move every particle, weigh it by the observation.

        resample where ESS = 1 / Σ wᵢ² < K · resample_below
        xᵢ ← transition(xᵢ, u, t, noiseᵢ),   wᵢ ∝ wᵢ p(y | xᵢ),   p(yₖ | …) ≈ Σ wᵢ p(y | xᵢ)

    Args:
        transition: ``transition(x, u, t, noise) -> x`` for one particle x (n,), its
            noise (q,) of the distribution that was drawn.
        log_density: ``log_density(y, x, u, t)``, constants included: log p(y | x), or
            (m,) with one for every component of y, if they are independent given x. Then
            the missing components (NaN) are left out; with a single number a step with a
            missing component counts as one without observation. The function gets 0 in
            place of a NaN.
        resample_below: the fraction of K; 1 resamples (nearly) always, 0 never.

    Returns:
        A stepper: ``init(particles, on_first=False)`` takes K draws (K, n) from the prior
        of the state one step before the first observation, or of the first observed
        state itself. x is a mapping with "y" (m,), "noise" (K, q), "uniform" () between
        0 and 1, see `draws`, and any of "u" and "t". It emits a `ParticleEstimate`.

    The gradient of the log-likelihood is the stop-gradient one: a resampled particle
    keeps the weight w / stop(w), which is 1 and whose derivative is that of choosing it.
    The gradient of the likelihood is unbiased, and so consistent for its logarithm.

    Where every particle has density 0 the log-likelihood is −∞ and all weights are equal.

    Raises:
        ValueError: the shapes disagree, or x lacks one of its parts.

    Reference: N. J. Gordon, D. J. Salmond and A. F. M. Smith, IEE Proceedings F 140
    (1993); A. Ścibior and F. Wood, "Differentiable particle filtering without modifying
    the forward pass", arXiv 2106.10314 (2021).

    >>> from sim import rollout
    >>> walk = bootstrap(lambda x, u, t, noise: x + noise,
    ...                  lambda y, x, u, t: jax.scipy.stats.norm.logpdf(y, x))
    >>> keys = jax.random.split(jax.random.key(0))
    >>> carry = walk.init(jax.random.normal(keys[0], (1000, 1)))
    >>> ys = jnp.array([[0.0], [jnp.nan], [3.0]])
    >>> xs = {"y": ys} | draws(keys[1], 3, 1000, 1)
    >>> _, estimates = rollout(walk.step, carry, xs)
    >>> estimates.m[:, 0].round(1).tolist()  # exact: 0, 0, 2.18
    [-0.0, 0.0, 2.2]
    """
    if not 0 <= resample_below <= 1:
        raise ValueError(
            f"resample_below: expected a fraction between 0 and 1, got {resample_below}"
        )
    functions = as_pytree(transition), as_pytree(log_density)
    return Stepper(Partial(_init), Partial(_step, functions, resample_below))


def draws(key: Any, steps: int, particles: int, noise: int, dtype: Any = None) -> dict:
    """The random numbers for a run of `bootstrap`.

    Args:
        key: a key of `jax.random`.
        steps, particles, noise: N, K, and the size q of one particle's noise.
        dtype: of the state; None is JAX's default float.

    Returns:
        A mapping with "noise" (N, K, q), standard normal, and "uniform" (N,).

    For a long record draw inside an outer step, for about 100 steps at a time: the numbers
    then stay in the cache, which is almost twice as fast for K = 1000 and saves memory::

        def segment(carry, x):
            key, ys = x
            return rollout(filter.step, carry, {"y": ys} | draws(key, 100, 1000, 1))

    >>> {name: x.shape for name, x in draws(jax.random.key(0), 5, 100, 2).items()}
    {'noise': (5, 100, 2), 'uniform': (5,)}
    """
    shape = tuple(map(positive, ("steps", "particles", "noise"), (steps, particles, noise)))
    normal, uniform = jax.random.split(key)
    dtype = jnp.result_type(float) if dtype is None else dtype
    return {
        "noise": jax.random.normal(normal, shape, dtype),
        "uniform": jax.random.uniform(uniform, shape[:1], dtype),
    }


def _init(particles: Any, on_first: bool = False) -> Cloud:
    particles = as_float_array(particles)
    if particles.ndim != 2 or not particles.size:
        raise ValueError(f"particles: expected an array (K, n), got shape {particles.shape}")
    K = particles.shape[0]
    equal = jnp.full(K, 1 / K, particles.dtype)
    return Cloud(particles, equal, jnp.asarray(True) if on_first else None)


def _step(functions, resample_below, cloud: Cloud, x):
    transition, log_density = functions
    y, rest = split_observation(x, ("y", "noise", "uniform", "u", "t"))
    K, dtype = cloud.particles.shape[0], cloud.particles.dtype
    noise, uniform = _chance(rest, K)
    u, t = rest.get("u"), rest.get("t")

    # A branch, not a choice of two results: resampling is half of the step.
    few = jnp.sum(cloud.weights**2) * (K * resample_below) > 1
    ancestors, before, weights = jax.lax.cond(few, _resample, _keep, cloud, uniform)

    after = jax.vmap(lambda x, noise: transition(x, u, t, noise))(before, noise)
    if after.shape != before.shape:
        raise ValueError(
            f"transition: expected a state of shape {before.shape[1:]}, got {after.shape[1:]}"
        )
    if cloud.fresh is not None:
        after = jnp.where(cloud.fresh, before, after)
    logs = _log_likelihoods(log_density, as_float_array(y).astype(dtype), after, u, t)
    weights, loglik = _weigh(weights, logs)
    m = weights @ after
    away = after - m[None, :]
    P = (weights[:, None] * away).T @ away
    ess = 1 / jnp.sum(weights**2)
    estimate = ParticleEstimate(m, P, ess, loglik, ancestors, after, weights)
    fresh = None if cloud.fresh is None else jnp.zeros_like(cloud.fresh)
    return Cloud(after, weights, fresh), estimate


def _resample(cloud, uniform):
    K = cloud.weights.shape[0]
    ancestors = ancestors_of(jax.lax.stop_gradient(cloud.weights), uniform)
    return ancestors, cloud.particles[ancestors], unit_weight(cloud.weights[ancestors]) / K


@jax.custom_jvp
def unit_weight(w):
    """w / stop(w): 1, with the derivative of choosing a particle of weight w."""
    return jnp.ones_like(w)


@unit_weight.defjvp
def _(primals, tangents):
    (w,), (dw,) = primals, tangents
    return unit_weight(w), dw / jax.lax.stop_gradient(jnp.where(w > 0, w, 1))


def _keep(cloud, uniform):
    return jnp.arange(cloud.weights.shape[0], dtype=jnp.int32), cloud.particles, cloud.weights


def _chance(rest, K):
    for name in ("noise", "uniform"):
        if name not in rest:
            raise ValueError(f"xs: expected {name!r}, see draws, got {tuple(rest)}")
    noise, uniform = jnp.asarray(rest["noise"]), jnp.asarray(rest["uniform"])
    if noise.shape[:1] != (K,) or uniform.shape != ():
        raise ValueError(
            f"xs: expected noise ({K}, q) and a uniform number for a step of {K} particles, "
            f"got shapes {noise.shape} and {uniform.shape}"
        )
    return noise, uniform


def _log_likelihoods(log_density, y, particles, u, t):
    """log p(y | x) of every particle, without the missing components of y."""
    seen = ~jnp.isnan(y)
    y = jnp.where(seen, y, 0)
    logs = jax.vmap(lambda x: jnp.asarray(log_density(y, x, u, t)))(particles)
    if logs.ndim == 1:
        return jnp.where(jnp.all(seen), logs, 0)
    if logs.shape[1:] != y.shape:
        raise ValueError(
            f"log_density: expected a number or shape {y.shape}, as y has, got {logs.shape[1:]}"
        )
    return jnp.sum(jnp.where(seen[None, :], logs, 0), axis=1)


def _weigh(weights, logs):
    """w p / Σ w p, and log Σ w p; equal weights and −∞ where every p is 0."""
    alive = jax.lax.stop_gradient(weights) > 0
    top = jax.lax.stop_gradient(jnp.max(jnp.where(alive, logs, -jnp.inf)))
    lost = top == -jnp.inf
    # Excluded before the arithmetic, so that a gradient is 0 there, not NaN.
    alive = alive & (logs > -jnp.inf)
    unnormalised = weights * jnp.where(alive, jnp.exp(jnp.where(alive, logs - top, 0)), 0)
    total = jnp.where(lost, 1, jnp.sum(unnormalised))
    equal = 1 / weights.shape[0]
    # One division: K of them take longer than the sum.
    new = jnp.where(lost, equal, unnormalised * (1 / total))
    return new, jnp.where(lost, -jnp.inf, top + jnp.log(total))
