"""dynamax: extended and unscented filters of the noisy pendulum."""

import jax.numpy as jnp
from dynamax.nonlinear_gaussian_ssm import (
    ParamsNLGSSM,
    UKFHyperParams,
    extended_kalman_filter,
    unscented_kalman_filter,
)

from benchmarks.measure import compile_run


def build_filter(kind, model, first, ys):
    p = ParamsNLGSSM(
        initial_mean=jnp.asarray(first[0]),
        initial_covariance=jnp.asarray(first[1]),
        dynamics_function=lambda x: model.f(x, None, None),
        dynamics_covariance=jnp.asarray(model.Q),
        emission_function=lambda x: model.h(x, None, None),
        emission_covariance=jnp.asarray(model.R),
    )

    def run(ys):
        if kind == "extended":
            out = extended_kalman_filter(p, ys)
        else:  # alpha² (n + kappa) is the same spread: 1 (2 + 1)
            out = unscented_kalman_filter(p, ys, UKFHyperParams(alpha=1.0, beta=0, kappa=1))
        return out.filtered_means, out.filtered_covariances, out.marginal_loglik

    return compile_run(run, jnp.asarray(ys))
