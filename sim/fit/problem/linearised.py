"""The loss and the triangle of the Jacobian at one point."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Linearisation(NamedTuple):
    """What is known at one z.

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

    >>> found = qr_reduce(jnp.array([3.0, 4.0]), jnp.eye(2))
    >>> float(found.loss), jnp.abs(found.R.T @ found.q).tolist()
    (12.5, [3.0, 4.0])
    """
    n = J.shape[1]
    rows = jnp.zeros((max(0, n + 1 - len(r)), n + 1), J.dtype)
    both = jnp.concatenate([jnp.concatenate([J, r[:, None]], axis=1), rows])
    triangle = jnp.linalg.qr(both, mode="r")
    return Linearisation(0.5 * jnp.sum(r * r), triangle[:n, :n], triangle[:n, n])
