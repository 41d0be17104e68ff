"""cuthbert: its square-root Kalman filter, run sequentially, the faster way on a CPU."""

import jax.numpy as jnp
import numpy as np
from cuthbert import filter as run_filter
from cuthbert.gaussian import kalman

from benchmarks.measure import compile_run


def _roots(model, prior):
    return [jnp.asarray(np.linalg.cholesky(P)) for P in (prior.P, model.Q, model.R)]


def _run(model, prior, roots, ys):
    P0, Q, R = roots
    F, H = jnp.asarray(model.F), jnp.asarray(model.H)
    built = kalman.build_filter(
        jnp.asarray(prior.m),
        P0,
        lambda y: (F, jnp.zeros(F.shape[0]), Q),
        lambda y: (H, jnp.zeros(H.shape[0]), R, y),
    )
    states = run_filter(built, ys, built.init_prepare())
    return states.mean[1:], states.chol_cov[1:], states.log_normalizing_constant[-1]


def build_filter(model, prior, first, ys):
    def run(ys):
        m, U, loglik = _run(model, prior, _roots(model, prior), ys)
        return m, U @ jnp.swapaxes(U, 1, 2), loglik

    return compile_run(run, jnp.asarray(ys))
