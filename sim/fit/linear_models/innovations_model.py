"""A discrete linear system in innovations form: what `n4sid` returns, as a model for `fit`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim.step import Stepper


class Linear(NamedTuple):
    """Parameters of `linear`, with n states, m inputs and p outputs.

    Attributes:
        A, B, C, D: (n, n), (n, m), (p, n), (p, m).
        K: (n, p), the effect of an innovation on the state; a simulation does not need it.
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

    The input of a step is ``u`` for a simulation or ``(u, y)`` for a prediction. A fit of the
    first minimises the simulation error, one of the second the prediction error; there K
    models the noise (maximum likelihood if e is white, normal and uncorrelated between
    outputs: each output is weighted by its own variance). Where y is missing, e is 0.

    A, B, C and K together are not identifiable, since any basis of the state is equivalent.
    The fit reports this; its simulations and their uncertainty are not affected. Fix what is
    known: ``parameters={"D": "fixed"}``.

    Args:
        params: `Linear`; u (m,), a scalar where m is 1, None where m is 0; y (p,).

    Returns:
        A `Stepper`, which gives ŷ (p,); ``init()`` is zero, ``init(x0)`` is x0.

    Raises:
        ValueError: the shapes of params, state and inputs do not agree.

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
    shapes = (n + n, n + m, p + n, p + m, n + p)
    for name, matrix, shape in zip(Linear._fields, params, shapes, strict=True):
        if matrix.shape != shape or len(shape) != 2:
            raise ValueError(f"params.{name}: expected shape {shape}, got {matrix.shape}")
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
    output, after = C @ x + D @ u, A @ x + B @ u
    if y is None:
        return after, output
    y = _column("y", y, K)
    return after + K @ jnp.where(jnp.isnan(y), 0, y - output), output


def _column(name, x, M) -> jax.Array:
    """x as a vector with as many numbers as M has columns."""
    x = jnp.zeros(0, M.dtype) if x is None else jnp.asarray(x)
    if x.ndim > 1 or x.size != M.shape[1]:
        raise ValueError(f"{name}: expected shape ({M.shape[1]},), got {x.shape}")
    return x.reshape(-1)
