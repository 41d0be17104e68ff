"""Linear algebra for small static sizes that stays inside the compiled loop.

A library call in a step (BLAS, LAPACK) leaves the loop and costs 100 to 4000 ns, often
more than the step. Up to a size known when tracing, these functions are written out in
operations that XLA fuses into the loop; beyond it they are the library's. Measured on
2 cores, float64, in a scan, ns per step, written out against library:

    n                          4          6           8           12           16
    A P Aᵀ + Q           36 / 39   77 / 112   188 / 775   482 / 1229   966 / 1096
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

PRODUCT_LIMIT = 16
SUM_LIMIT = 12
FACTOR_LIMIT = 8
TRIA_LIMIT = 12


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
    # A longer sum is no longer unrolled: 16 × 16 then costs four times as much.
    blocks = [slice(k, k + SUM_LIMIT) for k in range(0, max(b.shape[0], 1), SUM_LIMIT)]
    return sum(jnp.sum(a[:, k, None] * b[None, k], axis=1) for k in blocks)


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
    return jnp.stack(columns, axis=1) if columns else p


def solve_lower(l, b):  # noqa: E741
    """X with L X = B, for lower triangular L (n, n) and B (n,) or (n, m).

    Entries above the diagonal of L are not read.

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
    return jnp.stack(found) if found else b


def cholesky_semidefinite(p, scale=None):
    """The lower triangular L with L Lᵀ = P, for symmetric positive semi-definite P (n, n).

    A pivot that is lost in the rounding of P counts as zero, and so does its column: a
    singular P has a factor and a finite gradient. The gradient holds at a fixed rank;
    along a change that raises the rank of P it is wrong, as the factor then has none.

    Args:
        p: P.
        scale: (n,), the size of the terms where P is a difference, for its rounding; None
            is the diagonal of P.

    Raises:
        ValueError: p is not square.

    >>> cholesky_semidefinite(jnp.array([[4.0, 2.0], [2.0, 1.0]])).tolist()
    [[2.0, 0.0], [1.0, 0.0]]
    """
    p = _square("p", p)
    n = p.shape[0]
    p = 0.5 * (p + p.T)
    least = 8 * n * float(jnp.finfo(p.dtype).eps) * (jnp.diagonal(p) if scale is None else scale)
    columns, rows = [], np.arange(n)
    for j in range(n):
        column = p[:, j]
        for done in columns:
            column = column - done * done[j]
        kept = column[j] > least[j]
        scale = jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, column[j], 1)), 0)
        columns.append(jnp.where(rows >= j, column * scale, 0))
    return jnp.stack(columns, axis=1) if columns else p


def tria(a):
    """The lower triangular L, its diagonal not negative, with L Lᵀ = A Aᵀ, for A (n, k).

    It gives a factor of a covariance that is a sum, tria([F S, Q½]) for F S Sᵀ Fᵀ + Q,
    without the loss of digits in squaring. A row that depends on the rows before it, to
    rounding, is left as it is and gives no infinite gradient.

    Raises:
        ValueError: a is no matrix.

    Reference: N. J. Higham, cited above, chapter 19.

    >>> tria(jnp.array([[3.0, 4.0, 0.0], [3.0, 4.0, 2.0]])).round(12).tolist()
    [[5.0, 0.0], [5.0, 2.0]]
    """
    l, _ = triangularise(a, None)  # noqa: E741
    return jnp.tril(l * jnp.where(jnp.diagonal(l) < 0, -1, 1).astype(l.dtype)[None])


def triangularise(a, b):
    """A Θ = [L, 0] and B Θ, with Θ Θᵀ = I and L lower triangular.

    By Householder reflections of the columns; the diagonal of L has any sign. `tria` uses
    it. B Θ costs nothing where it is not used. Measured as above for
    A (n, 2n): 180 / 880 at n = 4, 670 / 1600 at 8, 2400 / 3100 at 12, 11100 / 6300 at 16.

    Args:
        a: (n, k); one with fewer columns than rows is filled up with zeros.
        b: (p, k), or None.

    Returns:
        L (n, n), and B Θ (p, k) or wider, or None.

    >>> l, b = triangularise(jnp.array([[0.0, 2.0]]), jnp.array([[3.0, 1.0]]))
    >>> abs(l).round(12).tolist(), abs(b).round(12).tolist()
    ([[2.0]], [[1.0, 3.0]])
    """
    a = jnp.asarray(a)
    if a.ndim != 2:
        raise ValueError(f"a: expected a matrix, got shape {a.shape}")
    if b is not None and (jnp.ndim(b) != 2 or b.shape[1] != a.shape[1]):
        raise ValueError(f"b: expected (p, {a.shape[1]}), as a, got {jnp.shape(b)}")
    n, k = a.shape
    if k < n:
        a, k = jnp.pad(a, ((0, 0), (0, n - k))), n
        b = None if b is None else jnp.pad(b, ((0, 0), (0, k - b.shape[1])))
    if n > TRIA_LIMIT:
        q, r = _qr(a.T)
        # The first n columns of Θ are those of Q; the rest of B needs no other columns.
        return r.T, None if b is None else jnp.concatenate([b @ q, b - (b @ q) @ q.T], axis=1)
    columns = np.arange(k)
    least = (4 * k * float(jnp.finfo(a.dtype).eps)) ** 2 * jnp.sum(a * a, axis=1)
    for i in range(n):
        x = jnp.where(columns >= i, a[i], 0)
        square = jnp.sum(x * x)
        independent = square > least[i]
        length = jnp.sqrt(jnp.where(independent, square, 1))
        head = jnp.where(x[i] < 0, x[i] - length, x[i] + length)
        v = jnp.where(columns == i, head, x)
        scale = jnp.where(independent, 1 / (length * jnp.abs(head)), 0)
        a = _reflect(a, v, scale)
        b = None if b is None else _reflect(b, v, scale)
    return jnp.where(columns <= np.arange(n)[:, None], a, 0)[:, :n], b


def _reflect(a, v, scale):
    return a - (jnp.sum(a * v[None], axis=1) * scale)[:, None] * v[None]


@jax.custom_jvp
def _qr(a):
    return tuple(jnp.linalg.qr(a))


@_qr.defjvp
def _qr_jvp(primals, tangents):
    # As the library's, but a column that depends on those before it takes no part.
    (a,), (da,) = primals, tangents
    q, r = _qr(a)
    least = 4 * a.shape[0] * float(jnp.finfo(a.dtype).eps) * jnp.sqrt(jnp.sum(a * a, axis=0))
    pivots = jnp.diagonal(r)
    safe = jnp.where(jnp.abs(pivots) > least, pivots, jnp.inf)
    eye = np.eye(r.shape[0], dtype=bool)
    x = jax.scipy.linalg.solve_triangular(jnp.where(eye, safe[None], r), da.T, trans="T").T
    c = q.T @ x
    turn = jnp.tril(c, -1) - jnp.tril(c, -1).T
    return (q, r), (x + q @ (turn - c), (c - turn) @ r)


def _square(name, a):
    a = jnp.asarray(a)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ValueError(f"{name}: expected a square matrix, got shape {a.shape}")
    return a
