"""The loss and the triangle of the Jacobian at one z.

The Jacobian of each experiment leaves its forward pass as a triangle: memory and time of
the rest do not grow with the number of samples.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.jacobian import errors_with_jacobian, parameter_priors_with_jacobian
from sim.fit.problem.problem import Problem


class Linearisation(NamedTuple):
    """The loss near one z: L(z + δ) ≈ ½ |R δ + q|² + constant.

    Attributes:
        loss: ½ |r|².
        R: (n, n), upper triangular, RᵀR = JᵀJ.
        q: (n,), Rᵀ q = Jᵀ r.
    """

    loss: jax.Array
    R: jax.Array
    q: jax.Array


def qr_reduce(r, J) -> Linearisation:
    """The triangle of residuals r (m,) and their Jacobian J (m, n), m of any size.

    >>> at_zero = qr_reduce(jnp.array([3.0, 4.0]), jnp.eye(2))
    >>> float(at_zero.loss), jnp.abs(at_zero.R.T @ at_zero.q).tolist()
    (12.5, [3.0, 4.0])
    """
    n = J.shape[1]
    rows = jnp.zeros((max(0, n + 1 - len(r)), n + 1), J.dtype)
    both = jnp.concatenate([jnp.concatenate([J, r[:, None]], axis=1), rows])
    triangle = jnp.linalg.qr(both, mode="r")
    return Linearisation(0.5 * jnp.sum(r * r), triangle[:n, :n], triangle[:n, n])


@jax.jit
def linearise(problem: Problem, z) -> Linearisation:
    """Loss and triangle of all residuals at z."""
    theta, states = problem.split_vector(z)
    n, m = len(theta), problem.states.size
    loss, gaps, blocks, first, reduced = jnp.zeros((), z.dtype), [], [], n, None
    rows = zip(problem.groups, problem.initial_states, problem.joined, states, strict=True)
    for group, given, joined, s in rows:

        def residuals_of_one(s, e, given):
            return errors_with_jacobian(problem, theta, s, e, given)

        (r, end), (J, J_end) = jax.vmap(residuals_of_one)(s, group, given)
        # One triangle after the other: in jaxlib 0.10 on two cores, two batches of them at a
        # time wait for each other's threads for ever.
        r = r if reduced is None else _order_after(reduced.q, r)
        reduced = jax.vmap(qr_reduce)(r, J)
        loss += jnp.sum(reduced.loss)
        places = first + m * np.arange(len(s))
        blocks.append(_scatter_columns(reduced.R, reduced.q, n, places, len(z)))
        if problem.join is not None:
            gap, slope = _continuity_gaps(problem.join, joined, s, end, J_end)
            loss += 0.5 * jnp.sum(gap * gap)
            gaps.append(_scatter_columns(slope, gap, n, places[:-1], len(z)))
        first += m * len(s)
    if any(problem.layout.priors):
        r, J = parameter_priors_with_jacobian(problem, theta)
        loss += 0.5 * jnp.sum(r * r)
        blocks.append(_scatter_columns(J[None], r[None], n, np.array([n]), len(z)))
    # Heavy rows first: so a triangle keeps the digits of the light ones.
    everything = jnp.concatenate([*gaps, *blocks])
    total = qr_reduce(everything[:, -1], everything[:, :-1])
    # The slopes along the states are in their own units until here.
    return Linearisation(loss, total.R * problem.unit.at[:n].set(1)[None], total.q)


def _order_after(first, x):
    """x, computed after ``first``. XLA ignores a barrier as an order, but not a number."""
    number = first.ravel()[0]
    return x + jnp.where(jnp.isnan(number), number, 0)


def _continuity_gaps(join, joined, s, end, J_end):
    """Weighted gaps between an experiment's end and the start of the next, (E − 1, m), and
    their slopes along (θ, own state, next state); 0 where no next one continues it."""
    continued = joined[:-1]
    # The end of an experiment that is not continued may be anything, infinite too.
    gap = jnp.where(continued[:, None], join[None] * (end[:-1] - s[1:]), 0)
    slope = jnp.where(continued[:, None, None], join[None, :, None] * J_end[:-1], 0)
    next_slope = jnp.where(continued[:, None, None], -jnp.diag(join)[None], 0)
    return gap, jnp.concatenate([slope, next_slope], axis=2)


def _scatter_columns(J, r, n, places, total):
    """Rows (E, k, n + c) of E experiments, whose last c columns belong at their places among
    all, as rows (E k, total + 1) with r the last column."""
    count, k, width = J.shape
    wide = jnp.zeros((count, k, total + 1), J.dtype)
    wide = wide.at[:, :, :n].set(J[:, :, :n]).at[:, :, -1].set(r)
    columns = places[:, None, None] + np.arange(width - n)
    wide = wide.at[np.arange(count)[:, None, None], np.arange(k)[:, None], columns].set(J[:, :, n:])
    return wide.reshape(count * k, total + 1)
