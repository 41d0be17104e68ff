"""cuthbert: its particle filter with systematic resampling by the effective sample size."""

import jax
import jax.numpy as jnp
from cuthbert import filter as run_filter
from cuthbert.smc import particle_filter
from cuthbertlib.resampling import ess_decorator, systematic

from benchmarks.measure import compile_run
from benchmarks.particle import BELOW, SD_X, drift, log_likelihood


def build_filter(ys, K):
    built = particle_filter.build_filter(
        init_sample=jax.random.normal,
        propagate_sample=lambda key, x, y: drift(x) + SD_X * jax.random.normal(key),
        log_potential=lambda before, x, y: log_likelihood(y, x),
        n_filter_particles=K,
        resampling_fn=ess_decorator(systematic.resampling, BELOW),
    )

    def run(ys, key):
        first, rest = jax.random.split(key)
        states = run_filter(built, ys, built.init_prepare(key=first), key=rest)
        weights = jax.nn.softmax(states.log_weights[1:], axis=1)
        m = jnp.sum(weights * states.particles[1:], axis=1)
        return m, states.log_normalizing_constant[-1]

    return compile_run(run, jnp.asarray(ys), jax.random.key(0))
