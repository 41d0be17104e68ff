"""Linear algebra for small static sizes that stays inside the compiled loop.

A library call in a step (BLAS, LAPACK) leaves the loop and costs 100 to 4000 ns, often
more than the step. Up to a size known when tracing, these functions are written out in
operations that XLA fuses into the loop; beyond it they are the library's. Measured on
2 cores, float64, in a scan, ns per step, written out against library:

    n                          4          6           8           12           16
    A P Aᵀ + Q           36 / 39   77 / 112   188 / 775   482 / 1229  3771 / 1826
    Cholesky of it     102 / 418  284 / 454   393 / 577   914 / 1086  23965 / 5375
    … with gradient   297 / 3050 979 / 5491  1168 / 3962 12638 / 11150      (slower)

A matrix times a vector is the library's at every size: it stays in the loop.
Matrices are (n, m), without batch axes: batch with `vmap`. All functions differentiate
in both modes and keep float32.

Reference: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed.,
SIAM 2002, chapters 8 and 10.
"""

import jax
import jax.numpy as jnp
import numpy as np

PRODUCT_LIMIT = 12
FACTOR_LIMIT = 8


def matmul(a, b):
    """C = A B for A (n, k) and B (k, m); a vector b (k,) gives (n,).

    Raises:
        ValueError: a is no matrix, or the inner sizes differ.

    >>> matmul(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.eye(2)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.ndim != 2:
        raise ValueError(f"a: expected a matrix, got shape {a.shape}")
    if b.ndim not in (1, 2) or b.shape[0] != a.shape[1]:
        raise ValueError(
            f"b: expected ({a.shape[1]},) or ({a.shape[1]}, m), to follow a of shape {a.shape}, "
            f"got {b.shape}"
        )
    if b.ndim == 1 or max(*a.shape, b.shape[1]) > PRODUCT_LIMIT:
        return a @ b
    return jnp.sum(a[:, :, None] * b[None, :, :], axis=1)


def cholesky(p):
    """The lower triangular L with L Lᵀ = P, for symmetric positive definite P (n, n).

    P is symmetrised first, so its gradient is symmetric. A matrix that is not positive
    definite gives NaN, as the library does.

    Raises:
        ValueError: p is not square.

    >>> cholesky(jnp.array([[4.0, 2.0], [2.0, 2.0]])).tolist()
    [[2.0, 0.0], [1.0, 1.0]]
    """
    p = _square("p", p)
    n = p.shape[0]
    if n > FACTOR_LIMIT:
        return jnp.linalg.cholesky(p)
    p = 0.5 * (p + p.T)
    columns, rows = [], np.arange(n)
    for j in range(n):
        column = p[:, j]
        for done in columns:
            column = column - done * done[j]
        columns.append(jnp.where(rows >= j, column / jnp.sqrt(column[j]), 0))
    return jnp.stack(columns, axis=1)


def solve_lower(l, b):  # noqa: E741
    """X with L X = B, for lower triangular L (n, n) and B (n,) or (n, m).

    What stands above the diagonal of L is not read.

    Raises:
        ValueError: l is not square, or the sizes differ.

    >>> solve_lower(jnp.array([[2.0, 0.0], [1.0, 1.0]]), jnp.array([2.0, 3.0])).tolist()
    [1.0, 2.0]
    """
    return _substitute(l, b, transposed=False)


def solve_lower_transposed(l, b):  # noqa: E741
    """X with Lᵀ X = B, for lower triangular L (n, n) and B (n,) or (n, m).

    >>> solve_lower_transposed(jnp.array([[2.0, 0.0], [1.0, 1.0]]), jnp.array([4.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    return _substitute(l, b, transposed=True)


def cho_solve(l, b):  # noqa: E741
    """X with L Lᵀ X = B, for the Cholesky factor L (n, n) and B (n,) or (n, m).

    >>> cho_solve(jnp.array([[2.0, 0.0], [1.0, 1.0]]), jnp.array([6.0, 4.0])).tolist()
    [1.0, 1.0]
    """
    return solve_lower_transposed(l, solve_lower(l, b))


def _substitute(l, b, transposed):  # noqa: E741
    l, b = _square("l", l), jnp.asarray(b)  # noqa: E741
    n = l.shape[0]
    if b.ndim not in (1, 2) or b.shape[0] != n:
        raise ValueError(f"b: expected ({n},) or ({n}, m), got {b.shape}")
    if n > FACTOR_LIMIT:
        return jax.scipy.linalg.solve_triangular(l, b, lower=True, trans="T" if transposed else "N")
    found = [None] * n
    for i in reversed(range(n)) if transposed else range(n):
        found[i] = b[i] / l[i, i]
        column = l[i, :] if transposed else l[:, i]
        b = b - (column * found[i] if b.ndim == 1 else column[:, None] * found[i][None])
    return jnp.stack(found)


def _square(name, a):
    a = jnp.asarray(a)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ValueError(f"{name}: expected a square matrix, got shape {a.shape}")
    return a
