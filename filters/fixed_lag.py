"""The fixed-lag smoother: at every step the state a few steps ago, given all data so far."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from filters.covariance import as_float_array, symmetric
from filters.gaussian import Estimate, parts
from filters.manifold import both_or_none, check_retract
from filters.rts import smoother_gain
from sim import Stepper
from sim.check import positive
from sim.linalg import matmul
from sim.step import as_pytree

# Products in a step that stay in the loop: beyond it the library's are 4 times faster.
WRITTEN_OUT = 4000


class Lagged(NamedTuple):
    """The output of the fixed-lag smoother.

    Attributes:
        m, P: the state ``lag`` steps ago, given the observations up to now.
        now: the filter's own `Estimate` of this step.
    """

    m: Any
    P: Any
    now: Estimate


class Window(NamedTuple):
    """The carry: the filter's own, and the last ``lag`` states, newest first.

    Attributes:
        carry: the filter's.
        m, P: the states given all so far, (lag, n) and (lag, n, n).
        B: (lag, n, n), gain from a correction of the newest state to each.
    """

    carry: Any
    m: Any
    P: Any
    B: Any


def fixed_lag(
    stepper: Stepper, lag: int, retract: Callable | None = None, local: Callable | None = None
) -> Stepper:
    """A filter that also gives the state ``lag`` steps ago, given everything so far.

        G = Cₖ (P⁻ₖ)⁻¹,   Bⱼ ← Bⱼ G
        mⱼ ← mⱼ + Bⱼ (mₖ − m⁻ₖ),   Pⱼ ← Pⱼ + Bⱼ (Pₖ − P⁻ₖ) Bⱼᵀ   for j = k−1, …, k−lag

    Args:
        stepper: one that `filters.gaussian.gaussian_filter` made: `kalman`, with a robust
            update or not, or a nonlinear filter.
        lag: steps, at least 1.
        retract, local: those of the model, for a state on a manifold, as for `rts`.

    Returns:
        A stepper: ``init`` and x are the filter's, and it emits a `Lagged`. In the first
        lag−1 steps it gives the oldest state there is, that of the prior. Where P⁻ is
        singular the result is NaN, as that of `rts`.

    Raises:
        ValueError: lag is not an integer of at least 1, only one of retract and local is
            given, or `gaussian_filter` did not make the stepper.

    Reference: H. E. Rauch, "Solutions to the linear smoothing problem", IEEE
    Transactions on Automatic Control 8 (1963); B. D. O. Anderson and J. B. Moore,
    "Optimal Filtering", Prentice-Hall 1979, section 7.3.

    >>> from filters.gaussian import Gaussian
    >>> from filters.kalman import LinearGaussian, kalman
    >>> from sim import rollout
    >>> walk = kalman(LinearGaussian(F=[[1.0]], Q=[1.0], H=[[1.0]], R=[1.0]))
    >>> smoother = fixed_lag(walk, 2)
    >>> carry = smoother.init(Gaussian([0.0], [[1.0]]))
    >>> _, lagged = rollout(smoother.step, carry, jnp.array([[0.0], [jnp.nan], [3.0]]))
    >>> lagged.m[:, 0].round(3).tolist()  # the prior's twice, then the first observed
    [0.0, 0.0, 0.545]
    """
    lag = positive("lag", lag)
    manifold = both_or_none("fixed_lag", retract, local)
    parts("fixed_lag", stepper)
    step = Partial(_step, manifold, as_pytree(stepper.step))
    return Stepper(Partial(_Init(lag), as_pytree(stepper.init)), step)


@dataclass(frozen=True)
class _Init:
    """The ``init`` for one lag; equal lags are equal, so that jit traces once."""

    lag: int

    def __call__(self, init, prior, *args, **kwargs):
        carry = init(prior, *args, **kwargs)
        m, P = as_float_array(prior[0]), as_float_array(prior[1])
        m, P = (a.astype(jnp.promote_types(m.dtype, P.dtype)) for a in (m, P))
        # At first every slot holds the state of the prior; equal corrections keep them equal.
        parts = (m, P, jnp.eye(P.shape[0], dtype=m.dtype))
        return Window(carry, *(jnp.stack([a] * self.lag) for a in parts))


def _step(manifold, step, window: Window, x):
    retract, local = manifold
    carry, now = step(window.carry, x)
    check_retract("fixed_lag", now.m, now.P, retract)
    gain = smoother_gain(now.P_pred, now.C)
    lag, n, _ = window.B.shape
    times = matmul if lag * n**3 <= WRITTEN_OUT else jnp.matmul
    B = jax.vmap(lambda B: times(B, gain))(window.B)
    learned = now.m - now.m_pred if local is None else local(now.m, now.m_pred)
    dx = jax.vmap(lambda B: B @ learned)(B)
    m = window.m + dx if retract is None else jax.vmap(retract)(window.m, dx)
    change = now.P - now.P_pred
    P = window.P + jax.vmap(lambda B: symmetric(times(times(B, change), B.T)))(B)
    lagged = Lagged(m[-1], P[-1], now)
    newest = (now.m, now.P, jnp.eye(now.P.shape[0], dtype=B.dtype))
    shifted = (jnp.concatenate([a[None], b[:-1]]) for a, b in zip(newest, (m, P, B), strict=True))
    return Window(carry, *shifted), lagged
