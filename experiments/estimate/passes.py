"""Filter, smoother and forecast over a whole record, each compiled once."""

import time
from typing import Any, NamedTuple

import numpy as np


class Passes(NamedTuple):
    """Stacked NumPy arrays: the filter's `Estimate`, the smoothed `Gaussian`, the `Forecast`
    or None; and the seconds that compiling and running took."""

    estimates: Any
    smoothed: Any
    future: Any
    seconds: tuple[float, float]


def filter_and_smooth(
    estimator: Any, y: np.ndarray, time_of: np.ndarray, ahead: np.ndarray
) -> Passes:
    """The estimates at every observation, smoothed, and the forecast at the times ``ahead``.

    Args:
        estimator: an `experiments.estimate.estimators.Estimator` whose ``used`` is 0 or 1.
        y, time_of: (N, m) and (N,), the observations and their times.
        ahead: (h,) times after the last; may be empty.
    """
    import jax
    import jax.numpy as jnp

    from filters.forecast import forecast
    from filters.gaussian import Estimate
    from sim import rollout

    used, smoother = estimator.used, estimator.smoother

    def both(prior, xs, future):
        carry = estimator.stepper.init(prior)
        last, estimates = rollout(estimator.stepper.step, carry, xs)
        if used:  # the prior is what the first observation has taught
            none = jnp.full_like(estimates.innovation[0], jnp.nan)
            start = Estimate(
                carry.m,
                carry.P,
                carry.m,
                carry.P,
                jnp.zeros_like(carry.P),
                none,
                jnp.full_like(estimates.S[0], jnp.nan),
                jnp.zeros_like(estimates.loglik[0]),
            )
            estimates = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), start, estimates)
        smoothed = rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1]
        if len(ahead):
            future = rollout(forecast(estimator.stepper).step, last, future)[1]
        return estimates, smoothed, future if len(ahead) else None

    unseen = np.full((len(ahead), y.shape[1]), np.nan)
    xs = step_inputs(estimator, y[used:], time_of[used:], time_of[max(used - 1, 0)])
    future = step_inputs(estimator, unseen, ahead, time_of[-1]) if len(ahead) else None
    kind = jnp.result_type(float)
    arguments = jax.tree.map(lambda a: jnp.asarray(a, kind), (estimator.prior, xs, future))
    began = time.perf_counter()
    compiled = jax.jit(both).lower(*arguments).compile()
    ready = time.perf_counter()
    found = jax.tree.map(np.asarray, compiled(*arguments))
    return Passes(*found, (ready - began, time.perf_counter() - ready))


def step_inputs(estimator: Any, y: np.ndarray, time_of: np.ndarray, before: float) -> Any:
    """The xs of the filter's steps, the first of which began at the time ``before``."""
    if estimator.inputs is None:
        return y
    dt = np.diff(time_of, prepend=before)
    return {"y": y, **estimator.inputs(time_of, dt)}
