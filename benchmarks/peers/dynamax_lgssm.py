"""dynamax: linear Gaussian filter, smoother and gradient."""

import jax
import jax.numpy as jnp
from dynamax.linear_gaussian_ssm import lgssm_filter, lgssm_smoother
from dynamax.linear_gaussian_ssm.inference import make_lgssm_params

from benchmarks.measure import compile_run


def params(first, F, Q, H, R):
    return make_lgssm_params(
        initial_mean=jnp.asarray(first[0]),
        initial_cov=jnp.asarray(first[1]),
        dynamics_weights=jnp.asarray(F),
        dynamics_cov=jnp.asarray(Q),
        emissions_weights=jnp.asarray(H),
        emissions_cov=jnp.asarray(R),
    )


def _run_filter(p, ys):
    out = lgssm_filter(p, ys)
    return out.filtered_means, out.filtered_covariances, out.marginal_loglik


def build_filter(model, prior, first, ys):
    return compile_run(
        _run_filter, params(first, model.F, model.Q, model.H, model.R), jnp.asarray(ys)
    )


def build_smoother(model, prior, first, ys):
    def run(p, ys):
        out = lgssm_smoother(p, ys)
        return out.smoothed_means, out.smoothed_covariances

    return compile_run(run, params(first, model.F, model.Q, model.H, model.R), jnp.asarray(ys))


def loglik_grad(model, prior, ys):
    def loss(parts):
        F, Q, H, R = (parts[name] for name in "FQHR")
        first = F @ prior.m, F @ prior.P @ F.T + Q
        return lgssm_filter(params(first, F, Q, H, R), jnp.asarray(ys)).marginal_loglik

    parts = {name: jnp.asarray(model._asdict()[name]) for name in "FQHR"}
    return compile_run(jax.value_and_grad(loss), parts)


def batch(model, prior, first, ys):
    def run(p, ys):
        return jax.vmap(_run_filter, (None, 0))(p, ys)[0]

    return compile_run(run, params(first, model.F, model.Q, model.H, model.R), jnp.asarray(ys))
