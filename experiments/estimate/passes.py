"""Filter, smoother and forecast over a whole record, each compiled once."""

import time
from typing import Any, NamedTuple

import numpy as np


class Passes(NamedTuple):
    """Results of the passes over a record, NumPy arrays with a leading axis of time.

    Attributes:
        estimates: the filter's `filters.gaussian.Estimate`.
        smoothed: the smoothed `filters.gaussian.Gaussian`.
        future: the `filters.forecast.Forecast`, or None.
        seconds: the times to compile and to run.
    """

    estimates: Any
    smoothed: Any
    future: Any
    seconds: tuple[float, float]


def filter_and_smooth(
    estimator: Any, y: np.ndarray, times: np.ndarray, ahead: np.ndarray
) -> Passes:
    """Filter, smooth and forecast.

    Args:
        estimator: an `experiments.estimate.estimators.Estimator` whose ``burn_in`` is 0 or 1.
        y, times: (N, m) and (N,), the observations and their times.
        ahead: (h,), times of the forecast, after the last observation; may be empty.
    """
    import jax
    import jax.numpy as jnp

    from filters.forecast import forecast
    from filters.gaussian import Estimate
    from sim import rollout

    burn_in, smoother = estimator.burn_in, estimator.smoother

    def run_passes(prior, xs, future):
        carry = estimator.stepper.init(prior)
        last, estimates = rollout(estimator.stepper.step, carry, xs)
        if burn_in:  # the prior is the estimate at the first observation
            missing = jnp.full_like(estimates.innovation[0], jnp.nan)
            start = Estimate(
                carry.m,
                carry.P,
                carry.m,
                carry.P,
                jnp.zeros_like(carry.P),
                missing,
                jnp.full_like(estimates.S[0], jnp.nan),
                jnp.zeros_like(estimates.loglik[0]),
            )
            estimates = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), start, estimates)
        smoothed = rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1]
        if len(ahead):
            future = rollout(forecast(estimator.stepper).step, last, future)[1]
        return estimates, smoothed, future if len(ahead) else None

    unobserved = np.full((len(ahead), y.shape[1]), np.nan)
    xs = step_inputs(estimator, y[burn_in:], times[burn_in:], times[max(burn_in - 1, 0)])
    future = step_inputs(estimator, unobserved, ahead, times[-1]) if len(ahead) else None
    dtype = jnp.result_type(float)
    arguments = jax.tree.map(lambda a: jnp.asarray(a, dtype), (estimator.prior, xs, future))
    start_time = time.perf_counter()
    compiled = jax.jit(run_passes).lower(*arguments).compile()
    compiled_at = time.perf_counter()
    results = jax.tree.map(np.asarray, compiled(*arguments))
    return Passes(*results, (compiled_at - start_time, time.perf_counter() - compiled_at))


def step_inputs(estimator: Any, y: np.ndarray, times: np.ndarray, before: float) -> Any:
    """The xs of the filter's steps, the first of which starts at the time ``before``."""
    if estimator.inputs is None:
        return y
    dt = np.diff(times, prepend=before)
    return {"y": y, **estimator.inputs(times, dt)}
