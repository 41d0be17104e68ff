"""Updates that resist outliers: gating, Student-t and Huber.

Each is an update in the sense of `filters.gaussian.gaussian_filter`; `robust` puts it into
any Gaussian filter:

    filter = robust(kalman(model), student_t(dof=4))

The noise of the observation is the part of its covariance that the state does not explain,
Ω = S − Cᵀ P⁻¹ C: R of a linear observation, R plus the linearisation error of a nonlinear
one. The iterative updates enlarge the noise of an unlikely component, Ωᵢ / wᵢ, in coordinates
in which Ω is diagonal. Ω is a difference and loses digits where P is large: with a prior so
vague that R is lost in S, such as 1e7 beside 1 in float32, use float64 or a narrower prior.

The log-likelihood is that of the observation under the enlarged noise, and 0 for a gated
observation, as if it were missing. It differentiates, but do not maximise it over a
threshold: the maximum is where everything is gated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.gaussian import Expected, Gaussian, condition, with_update
from sim import Stepper, check
from sim.linalg import cholesky, solve_lower


def robust(stepper: Stepper, update: Callable) -> Stepper:
    """The same Gaussian filter with a robust update.

    Args:
        stepper: a filter that `gaussian_filter` made: `kalman` and those like it.
        update: `gate`, `student_t` or `huber`, or a function
            ``(Predicted, Expected, y) -> (Gaussian, loglik)``.

    Raises:
        ValueError: the stepper is not one that `gaussian_filter` made.

    >>> from filters.kalman import LinearGaussian, kalman
    >>> from sim import rollout
    >>> level = kalman(LinearGaussian(F=[[1.0]], Q=[0.1], H=[[1.0]], R=[1.0]))
    >>> ys = jnp.array([[0.2], [-0.1], [50.0], [0.1]])
    >>> for filter in (level, robust(level, gate(9.0)), robust(level, student_t())):
    ...     _, estimates = rollout(filter.step, filter.init(Gaussian([0.0], [[1.0]])), ys)
    ...     print(estimates.m[-1].round(1).tolist())
    [11.5]
    [0.1]
    [0.1]
    """
    return with_update(stepper, update)


def gate(threshold) -> Callable:
    """Treat an observation as missing where its NIS vᵀ S⁻¹ v is above the threshold.

    Args:
        threshold: of the NIS: for a probability p of keeping a good observation of m
            components, ``chi2_quantile(p, m)``; or one threshold for each number of
            components seen, (m + 1,), ``chi2_quantile(p, jnp.arange(m + 1))``.
            Infinity keeps everything: the plain filter.

    A filter that has lost the state may reject every observation that would restore it;
    the other updates never reject one.

    Reference: Y. Bar-Shalom, X. R. Li and T. Kirubarajan, "Estimation with Applications
    to Tracking and Navigation", Wiley 2001, section 3.7.

    >>> both = Expected(jnp.zeros(1), jnp.array([[2.0]]), jnp.array([[1.0]]))
    >>> posterior, _ = gate(9.0)(Gaussian(jnp.zeros(1), jnp.eye(1)), both, jnp.array([5.0]))
    >>> posterior.m.tolist(), posterior.P.tolist()
    ([0.0], [[1.0]])
    """
    _positive("threshold", threshold, zero=True)
    return Partial(_gate, threshold)


def _gate(threshold, state, expected: Expected, y):
    seen = ~jnp.isnan(y)
    limit = jnp.asarray(threshold, expected.S.dtype)
    if limit.ndim:
        if limit.shape != (y.shape[0] + 1,):
            raise ValueError(
                f"threshold: expected a number or one for each of 0 to {y.shape[0]} components "
                f"seen, got shape {limit.shape}"
            )
        limit = limit[jnp.sum(seen)]
    S = jnp.where(seen[:, None] & seen[None, :], expected.S, jnp.eye(y.shape[0], dtype=limit.dtype))
    z = solve_lower(cholesky(S), jnp.where(seen, y - expected.mu, 0))
    return condition(state, expected, jnp.where(jnp.sum(z * z) > limit, jnp.nan, y))


def student_t(dof=4.0, iterations: int = 5) -> Callable:
    """The noise of each component is Student-t of the scale that Ω gives.

        w = (ν + 1) / (ν + E[e²]),   e the standardised noise given the last weights

    Args:
        dof: ν, the degrees of freedom; infinity is the plain filter.
        iterations: how many times the weights are computed; it differentiates from 1 on.

    Reference: G. Agamennoni, J. I. Nieto and E. M. Nebot, "Approximate inference in
    state-space models with heavy-tailed noise", IEEE Trans. Signal Process. 60 (2012).

    >>> both = Expected(jnp.zeros(1), jnp.array([[2.0]]), jnp.array([[1.0]]))
    >>> posterior, _ = student_t(4.0)(Gaussian(jnp.zeros(1), jnp.eye(1)), both, jnp.array([20.0]))
    >>> bool(posterior.m[0] < 0.5)                 # the plain filter says 10
    True
    """
    _positive("dof", dof)
    return Reweighted(Partial(_student, dof), iterations)


def _student(dof, e, variance):
    return (1 + 1 / dof) / (1 + (e * e + variance) / dof)


def huber(threshold=1.345, iterations: int = 5) -> Callable:
    """Limit the influence of each component to that of a residual at the threshold.

        w = min(1, c / |e|),   e the standardised residual after the update

    Args:
        threshold: c, in standard deviations of the noise; 1.345 keeps 95 % of the
            efficiency where the noise is Gaussian, and infinity is the plain filter.
        iterations: how many times the weights are computed.

    Reference: C. D. Karlgaard, "Nonlinear regression Huber-Kalman filtering and
    fixed-interval smoothing", J. Guidance, Control and Dynamics 38 (2015).

    >>> both = Expected(jnp.zeros(1), jnp.array([[2.0]]), jnp.array([[1.0]]))
    >>> posterior, _ = huber(1.0)(Gaussian(jnp.zeros(1), jnp.eye(1)), both, jnp.array([20.0]))
    >>> bool(0.9 < posterior.m[0] < 1.1)           # P c / √R
    True
    """
    _positive("threshold", threshold)
    return Reweighted(Partial(_huber, threshold), iterations)


def _huber(threshold, e, variance):
    size = jnp.abs(e)
    return jnp.where(size > threshold, threshold / jnp.where(size > threshold, size, 1), 1)


@partial(jax.tree_util.register_dataclass, data_fields=["weight"], meta_fields=["iterations"])
@dataclass(frozen=True)
class Reweighted:
    """Condition on y with noise Ωᵢ / wᵢ; the weights are recomputed a fixed number of times.

    Attributes:
        weight: ``weight(e, variance) -> w``, from the mean (m,) and the variance (m,) of
            the noise in standard deviations, given the observation and the last weights.
        iterations: how many times.
    """

    weight: Callable
    iterations: int

    def __post_init__(self):
        check.positive("iterations", self.iterations)

    def __call__(self, state, expected: Expected, y):
        m, dtype = y.shape[0], expected.S.dtype
        seen, eye = ~jnp.isnan(y), jnp.eye(m, dtype=dtype)
        # In coordinates in which the noise is I, so that each component has its own weight.
        noise = _noise(state.P, expected)
        root = cholesky(jnp.where(seen[:, None] & seen[None, :], noise, eye))
        v = jnp.where(seen, solve_lower(root, jnp.where(seen, y - expected.mu, 0)), jnp.nan)
        S = solve_lower(root, solve_lower(root, expected.S).T)
        C = solve_lower(root, expected.C.T).T
        zero, signal = jnp.zeros(m, dtype), S - eye
        w = jnp.ones(m, dtype)
        for _ in range(self.iterations):
            # h, the part of v from the state, given v under the weights so far.
            under = Expected(zero, signal + jnp.diag(1 / w), signal)
            h, _ = condition(Gaussian(zero, signal), under, v)
            w = jnp.where(seen, self.weight(jnp.where(seen, v - h.m, 0), jnp.diag(h.P)), 1)
        posterior, loglik = condition(state, Expected(zero, signal + jnp.diag(1 / w), C), v)
        return posterior, loglik - jnp.sum(jnp.log(jnp.diag(root)))


def _noise(P, expected):
    """Ω = S − Cᵀ P⁻¹ C, one component of the state at a time; P may be singular."""
    S, C = expected.S, expected.C
    tiny = 4 * jnp.finfo(S.dtype).eps
    floor = tiny * jnp.diag(S)
    scale = tiny * jnp.diag(P)
    for i in range(P.shape[0]):
        known = P[i, i] <= scale[i]
        root = jnp.where(known, 0, 1 / jnp.sqrt(jnp.where(known, 1, P[i, i])))
        g, h = P[:, i] * root, C[i] * root
        P, C, S = P - g[:, None] * g[None, :], C - g[:, None] * h[None, :], S - h[:, None] * h[None]
    return S + jnp.diag(jnp.maximum(floor - jnp.diag(S), 0))


def _positive(name, value, zero=False):
    try:
        value = np.asarray(value, float)
    except Exception:  # a tracer: its numbers are not known yet
        return
    if not np.all(value >= 0 if zero else value > 0):
        raise ValueError(f"{name}: expected a number above 0, got {value.tolist()}")
