"""Forecasts of state and observation with intervals, from any point of a record."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from filters.covariance import as_float_array
from filters.gaussian import Gaussian, parts
from sim import Stepper
from sim.step import as_pytree
from sim.white_noise import check_level


class Forecast(NamedTuple):
    """The forecast of one step ahead or more.

    Attributes:
        m, P: the state, (n,) and (n, n).
        mu, S: the observation, its noise included, (m,) and (m, m).
    """

    m: Any
    P: Any
    mu: Any
    S: Any


def forecast(stepper: Stepper) -> Stepper:
    """The prediction of a filter, continued without observations.

        p(xₖ₊ₕ | y₁, …, yₖ) and p(yₖ₊ₕ | y₁, …, yₖ),   h = 1, 2, …

    Args:
        stepper: one that `filters.gaussian.gaussian_filter` made, `kalman` or a
            nonlinear filter: exact for a linear model, as accurate as the filter's own
            prediction for a nonlinear one. For the estimates of another form use `kalman`.

    Returns:
        A stepper. Its carry is the filter's: the last one of the record, or from any
        other point ``init(Gaussian(m, P))`` with that point's filtered m and P (the
        prior of a filter is a step before its first observation). xs are the filter's,
        an array or a mapping with "y"; of the observations only the shape (h, m) is
        used, so NaN will do. It emits a `Forecast`; ``ys[h-1]`` is h steps ahead.

    Raises:
        ValueError: another stepper: `steady_state_kalman` has no covariance that grows, and
            the other forms have beliefs of their own.

    Under `jit`, `vmap` over carries forecasts from every point of a record at once.

    Reference: J. Durbin and S. J. Koopman, "Time Series Analysis by State Space
    Methods", 2nd ed., Oxford 2012, section 4.11.

    >>> from filters.gaussian import Gaussian
    >>> from filters.kalman import LinearGaussian, kalman
    >>> from sim import rollout
    >>> walk = kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[4.0]))
    >>> ahead = forecast(walk)
    >>> carry = ahead.init(Gaussian([10.0], [[0.0]]))
    >>> _, future = rollout(ahead.step, carry, jnp.full((3, 1), jnp.nan))
    >>> future.mu[:, 0].tolist(), future.S[:, 0, 0].tolist()
    ([10.0, 10.0, 10.0], [5.0, 6.0, 7.0])
    >>> lower, _ = interval(future.mu, future.S)
    >>> [round(float(x), 1) for x in lower[:, 0]]
    [5.6, 5.2, 4.8]
    """
    (_, observe, split, _), _, _ = parts("forecast", stepper)
    return Stepper(stepper.init, Partial(_step, as_pytree(stepper.step), observe, split))


def interval(mean: Any, cov: Any, level: float = 0.95) -> tuple[Any, Any]:
    """The central interval of each component of a Gaussian: μ ± z √diag S.

    Args:
        mean: (…, n).
        cov: (…, n, n).
        level: the probability inside, between 0 and 1.

    Returns:
        The lower and the upper bounds, (…, n) each.

    Raises:
        ValueError: the level is not between 0 and 1, or the shapes disagree.

    >>> lower, upper = interval(jnp.array([10.0]), jnp.array([[4.0]]))
    >>> round(float(lower[0]), 2), round(float(upper[0]), 2)
    (6.08, 13.92)
    """
    mean, cov = jnp.asarray(mean), jnp.asarray(cov)
    check_level(level)
    if cov.shape != (*mean.shape, *mean.shape[-1:]):
        raise ValueError(
            f"cov: expected shape {(*mean.shape, *mean.shape[-1:])}, to follow a mean of "
            f"shape {mean.shape}, got {cov.shape}"
        )
    z = jax.scipy.special.ndtri(jnp.asarray(0.5 + 0.5 * level, cov.dtype))
    half = z * jnp.sqrt(jnp.diagonal(cov, axis1=-2, axis2=-1))
    return mean - half, mean + half


def _step(step, observe, split, carry, x):
    x = _missing_like(x)
    after, unseen = step(carry, x)
    mu, S, _ = observe(Gaussian(unseen.m_pred, unseen.P_pred), split(x)[1])
    return after, Forecast(unseen.m_pred, unseen.P_pred, mu, S)


def _missing_like(x):
    if not isinstance(x, Mapping):
        return jnp.full_like(as_float_array(x), jnp.nan)
    if "y" not in x:
        raise ValueError(f"xs: expected an observation under 'y', NaN will do, got {tuple(x)}")
    return {**x, "y": jnp.full_like(as_float_array(x["y"]), jnp.nan)}
