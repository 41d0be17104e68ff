"""The bootstrap particle filter, float64, beside the packages of the field.

Each draws its own random numbers inside the timed run, resamples systematically where
the effective sample size is below half of the particles, and returns the filtered means
and the log-likelihood. These are estimates: two of them agree to within their own
spread, which repeated runs of this project show.
"""

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Work, compile_run
from filters.particle import bootstrap, draws
from sim import rollout

BELOW = 0.5  # resample where the effective sample size is below this part of K
SD_X, SD_Y = 0.47, 0.39
LOG_SCALE = -float(np.log(SD_Y * np.sqrt(2 * np.pi)))
SEGMENT = 100  # steps whose random numbers are drawn at once, and stay in the cache


def drift(x, exp=jnp.exp):
    """The mean of the next state in the theta-logistic model of a population, x = log size.

        xₖ = xₖ₋₁ + 0.15 − 0.12 exp(0.1 xₖ₋₁) + N(0, 0.47²),   yₖ = xₖ + N(0, 0.39²)

    from x₋₁ ~ N(0, 1). Three steps of five need resampling.

    Reference: the model and its values are those of `particles`, after G. W. Peters,
    G. R. Hosack and K. R. Hayes, arXiv 1005.2238 (2010).
    """
    return x + 0.15 - 0.12 * exp(0.1 * x)


def log_likelihood(y, x):
    return LOG_SCALE - ((y - x) / SD_Y) ** 2 / 2


def record(steps, seed=0):
    rng = np.random.default_rng(seed)
    x, ys = rng.normal(), np.empty(steps)
    for k in range(steps):
        x = drift(x, np.exp) + SD_X * rng.normal()
        ys[k] = x + SD_Y * rng.normal()
    return ys


def run_filter(K, ys, key):
    """Filtered means (N,) and log-likelihood of a record (N,), N a multiple of SEGMENT."""
    stepper = bootstrap(
        lambda x, u, t, noise: drift(x) + SD_X * noise,
        lambda y, x, u, t: log_likelihood(y, x),
        resample_below=BELOW,
    )

    def segment(carry, x):
        key, ys = x
        carry, e = rollout(stepper.step, carry, {"y": ys} | draws(key, SEGMENT, K, 1))
        return carry, (e.m[:, 0], e.loglik.sum())

    first, rest = jax.random.split(key)
    carry = stepper.init(jax.random.normal(first, (K, 1)))
    segments = ys.reshape(-1, SEGMENT, 1)
    _, (m, loglik) = rollout(segment, carry, (jax.random.split(rest, len(segments)), segments))
    return m.reshape(-1), loglik.sum()


def agree(runs: list[Any]) -> Callable[[Any], str | None]:
    """A comparison of one more run (means, log-likelihood) with those of ours.

    Over all the steps together its means may lie 1.2 times as far from the average of
    ours as one of ours would, and its log-likelihood 6 standard deviations.

    >>> rng = np.random.default_rng(0)
    >>> runs = [(rng.normal(size=1000), rng.normal()) for _ in range(9)]
    >>> agree(runs[1:])(runs[0])
    >>> agree(runs[1:])((runs[0][0] + 1, runs[0][1]))
    'means 1.33 times as far off as our own, expected at most 1.2'
    """
    means, logliks = (np.stack(part) for part in zip(*runs, strict=True))
    centre, loglik, n = means.mean(0), logliks.mean(), len(runs)
    # The average of n runs has a variance too: the distance of one more run adds it.
    more = (n + 1) / n
    far = np.sqrt(np.mean(means.var(0, ddof=1)) * more)
    sd = logliks.std(ddof=1) * np.sqrt(more)

    def compare(run):
        m, value = map(np.asarray, run)
        if m.shape != centre.shape:
            return f"expected means {centre.shape}, got {m.shape}"
        times = np.sqrt(np.mean((m - centre) ** 2)) / far
        if not times <= 1.2:
            return f"means {times:.2f} times as far off as our own, expected at most 1.2"
        times = abs(value - loglik) / sd
        if not times <= 6:
            return f"log-likelihood off by {times:.1f} standard deviations, expected at most 6"
        return None

    return compare


def work(particles=1000, steps=10**4, repeats=8):
    ys = jnp.asarray(record(steps))
    ours = partial(run_filter, particles)

    @cache  # run when the first peer is compared, so that it does not count as compiling
    def compare_with_ours():
        again = jax.jit(ours)
        keys = jax.random.split(jax.random.key(1), repeats)
        return agree([jax.tree.map(np.asarray, again(ys, key)) for key in keys])

    def peer(module):
        name = f"benchmarks.peers.{module}"
        return lambda: import_module(name).build_filter(np.asarray(ys), particles)

    return Work(
        unit="us/step",
        scale=1e6 / steps,
        ours=lambda: compile_run(ours, ys, jax.random.key(0)),
        peers={"particles": peer("particles_smc"), "cuthbert": peer("cuthbert_smc")},
        compare=lambda _, peer: compare_with_ours()(peer),
    )


ROWS = {"particle.bootstrap_1000": work}
