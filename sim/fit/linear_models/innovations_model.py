"""A discrete linear system with its innovations: what `n4sid` finds, as a model to fit."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim.step import Stepper


class Linear(NamedTuple):
    """Parameters of `linear`, with n states, m inputs and p outputs.

    Attributes:
        A, B, C, D: (n, n), (n, m), (p, n), (p, m).
        K: (n, p), by which an innovation moves the state; a simulation does without it.
    """

    A: Any
    B: Any
    C: Any
    D: Any
    K: Any


def linear(params: Linear) -> Stepper:
    """A linear system, simulated from u alone or predicted one step ahead from u and y:

        ŷₖ = C xₖ + D uₖ
        xₖ₊₁ = A xₖ + B uₖ + K eₖ,   eₖ = yₖ − ŷₖ, or 0 in a simulation

    What enters a step chooses: ``u`` or ``(u, y)``. A fit of the first minimises the
    simulation error, one of the second the prediction error, whose K describes the noise
    (maximum likelihood where e is white, normal and not correlated between outputs: each
    output counts by its own variance). A missing y is no news: e is 0.

    All of A, B, C and K at once is more than data can tell, since the state may be turned:
    the fit says so, and what it simulates, and how far to trust that, does not suffer. Hold
    what is known: ``parameters={"D": "fixed"}``.

    Args:
        params: `Linear`; u (m,), a scalar where m is 1, None where m is 0; y (p,).

    Returns:
        A `Stepper`, which gives ŷ (p,); ``init()`` is zero, ``init(x0)`` what is given.

    Raises:
        ValueError: shapes that do not fit one another, or the state, or an input.

    Reference: L. Ljung, *System Identification*, 2nd ed., Prentice Hall 1999, section 4.3.

    >>> from sim.fit import Experiment, Simulation, fit, n4sid
    >>> import numpy as np
    >>> u, e = np.random.default_rng(0).normal(size=(2, 400, 1)) * [[[1.0]], [[0.1]]]
    >>> y, x = np.zeros((400, 1)), 0.0
    >>> for k in range(400):
    ...     y[k] = x + e[k]
    ...     x = 0.8 * x + u[k, 0] + 0.5 * e[k, 0]
    >>> start = n4sid(u, y, 1)
    >>> found = fit(Simulation(linear), start.system, Experiment((u, y), y), states=start.x0,
    ...             parameters={"D": "fixed"})
    >>> round(float(found.params.A[0, 0]), 2), (found.params.K @ found.params.C).round(1).tolist()
    (0.8, [[0.5]])
    """
    if not isinstance(params, Linear):
        raise ValueError(f"params: expected sim.fit.Linear, got {type(params).__name__}")
    params = Linear(*map(jnp.asarray, params))
    n, m, p = params.A.shape[:1], params.B.shape[1:], params.C.shape[:1]
    for name, shape in zip(Linear._fields, (n + n, n + m, p + n, p + m, n + p), strict=True):
        got = getattr(params, name).shape
        if got != shape or len(got) != 2:
            raise ValueError(f"params.{name}: expected shape {shape}, got {got}")
    return Stepper(Partial(_init, params.A), Partial(_step, params))


def _init(A, x0=None):
    x0 = jnp.zeros(len(A), A.dtype) if x0 is None else jnp.asarray(x0)
    if x0.shape != A.shape[:1]:
        raise ValueError(f"x0: expected shape {A.shape[:1]}, got {x0.shape}")
    return x0


def _step(params, x, inputs):
    A, B, C, D, K = params
    u, y = inputs if isinstance(inputs, tuple) else (inputs, None)
    u = _column("u", u, B)
    seen, after = C @ x + D @ u, A @ x + B @ u
    if y is None:
        return after, seen
    y = _column("y", y, K)
    return after + K @ jnp.where(jnp.isnan(y), 0, y - seen), seen


def _column(name, x, M) -> jax.Array:
    """x as a vector with as many numbers as M has columns."""
    x = jnp.zeros(0, M.dtype) if x is None else jnp.asarray(x)
    if x.ndim > 1 or x.size != M.shape[1]:
        raise ValueError(f"{name}: expected shape ({M.shape[1]},), got {x.shape}")
    return x.reshape(-1)
