"""Gustafsson's initial states for a filter run forward and backward.

With H the filter from rest, O its response to the initial state and R the reversal of
time, the two passes with initial states u and v are, in either order,

    forward, backward   y = R H R (H x + O u) + R O v
    backward, forward   y = H R (H R x + O v) + O u

With W = R H R O, A = W − O and δ the difference for u = v = 0, they agree where

    A u − R A v = δ

and the states are the least-squares solution of this. It splits into two problems, for the
signals that are even and odd in time, each with half the unknowns:

    (A + R A)(u − v) = δ + R δ,   (A − R A)(u + v) = δ − R δ

This needs only runs of the filter, in any realization. But the condition of A multiplies the
rounding errors of these runs, and it is large where poles are close together. Largest error
over largest value, for a Butterworth filter of order 6 at 0.02 (200 samples; A has condition
4e8 in the states of the direct form), against the same least squares in 120 digits: sections
1e-13; polynomials 4e-4 to 1e-3; scipy, which has polynomials only, 1e-3 to 2e-3. At order 8
sections keep 3e-11, and the other two have no correct digit. So use `sosfiltfilt`, not
`filtfilt`, for narrow bands.

Reference: F. Gustafsson, "Determining the initial states in forward-backward filtering",
IEEE Trans. Signal Process. 44 (1996), 988-992.
"""

import jax
import jax.numpy as jnp


def gustafsson(run, n, x, axis, irlen=None, idle=None):
    """The filter forward and backward, with the initial states that suit both orders.

    Args:
        run: ``run(x, z, axis) -> y``, with z (n, …channels).
        n: the number of states.
        x: the signal.
        axis: its axis of time, counted from the front.
        irlen: length of the response of the filter in samples; None is unlimited.
        idle: (n,) bool, the states that stay at 0; None means there are none.

    Returns:
        y, of the shape of x.
    """
    rest = jnp.zeros((n, *x.shape[:axis], *x.shape[axis + 1 :]), x.dtype)

    def back_forth(x):
        forth = jnp.flip(run(x, rest, axis), axis)
        return jnp.flip(run(forth, rest, axis), axis)

    y = back_forth(x)
    delta = jnp.flip(back_forth(jnp.flip(x, axis)), axis) - y
    N = x.shape[axis]
    m = N if irlen is None or 2 * irlen >= N else irlen

    unit = jnp.eye(n, dtype=x.dtype)
    unit = unit if idle is None else jnp.where(idle[None], 0, unit)
    O = run(jnp.zeros((m, n), x.dtype), unit, 0)  # noqa: E741
    W = run(O[::-1], jnp.zeros_like(unit), 0)[::-1]
    A = W - O
    delta = jnp.moveaxis(delta, axis, 0).reshape(N, -1)
    if m < N:  # each end on its own
        u, v = least_squares(A, delta[:m]), -least_squares(A, delta[::-1][:m])
    else:
        minus = least_squares(A + A[::-1], delta + delta[::-1])
        plus = least_squares(A - A[::-1], delta - delta[::-1])
        u, v = (plus + minus) / 2, (plus - minus) / 2
    y = jnp.moveaxis(y, axis, 0)
    first, last = (e.reshape(m, *y.shape[1:]) for e in (W @ u, (O @ v)[::-1]))
    return jnp.moveaxis(y.at[:m].add(first).at[N - m :].add(last), 0, axis)


@jax.custom_jvp
def least_squares(A, b):
    """The x of least norm that minimises |A x − b|².

    It differentiates to any order where A keeps its rank.

    >>> least_squares(jnp.array([[1.0], [1.0]]), jnp.array([[1.0], [2.0]])).round(6).tolist()
    [[1.5]]
    """
    U, s, V = jnp.linalg.svd(A, full_matrices=False)
    significant = s > jnp.finfo(s.dtype).eps * jnp.max(s, initial=0)
    scale = jnp.where(significant, 1 / jnp.where(significant, s, 1), 0)
    return V.conj().T @ (scale.astype(A.dtype)[:, None] * (U.conj().T @ b))


@least_squares.defjvp
def _least_squares_jvp(primals, tangents):
    (A, b), (dA, db) = primals, tangents
    x = least_squares(A, b)
    # From Aᴴ (A x − b) = 0, with Aᴴ w = dAᴴ (b − A x).
    w = least_squares(A.conj().T, dA.conj().T @ (b - A @ x))
    return x, least_squares(A, db - dA @ x + w)
