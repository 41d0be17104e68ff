"""Least squares for what the predictor of a linear system is linear in: B, D and the initial
states.
"""

import numpy as np
from scipy.linalg import schur, solve_triangular
from scipy.signal import lfilter


def inputs_and_start(A, C, K, us, ys):
    """B, D and the initial state of each record that minimise Σ |e|²; the covariance of e."""
    (n, p), m = K.shape, us[0].shape[1]
    closed = A - K @ C
    tops, tails = [], []
    for u, y in zip(us, ys, strict=True):
        blocks = list(_regression(closed, C, K, u, y))
        R = triangle(lambda blocks=blocks: blocks)
        tops.append(R[:n])
        tails.append(R[n:, n:])
    R = np.linalg.qr(np.concatenate(tails), mode="r")
    theta = np.linalg.lstsq(R[:, :-1], R[:, -1], rcond=None)[0]
    x0 = np.stack(
        [np.linalg.lstsq(R[:, :n], R[:, -1] - R[:, n:-1] @ theta, rcond=None)[0] for R in tops]
    )
    B, D = theta[: n * m].reshape(m, n).T, theta[n * m :].reshape(p, m)
    errors = [
        y - u @ D.T - (C @ states(closed, B @ u.T + K @ y.T, start)).T
        for u, y, start in zip(us, ys, x0, strict=True)
    ]
    e = np.concatenate(errors)
    return B + K @ D, D, x0, e.T @ e / len(e)


def _regression(closed, C, K, u, y):
    """For each output, the columns [x₀ | B − K D | D | y] of the linear regression of y."""
    known = y.T - C @ states(closed, K @ y.T, np.zeros(len(K)))
    for i, row in enumerate(C):
        start = states(closed.T, np.zeros((len(row), len(y))), row)
        driven = [states(closed.T, row[:, None] * drive, 0 * row) for drive in u.T]
        direct = np.zeros((len(y), len(C), u.shape[1]))
        direct[:, i] = u
        yield np.concatenate(
            [start.T, *(x.T for x in driven), direct.reshape(len(y), -1), known[i][:, None]], axis=1
        )


def states(A, drive, start):
    """The states of x(t+1) = A x(t) + drive(t) as columns, from x(0), by Schur's decomposition."""
    T, Z = schur(A, output="complex")
    x = Z.conj().T @ np.concatenate([start[:, None], drive[:, :-1]], axis=1)
    for i in reversed(range(len(A))):
        x[i, 1:] += T[i, i + 1 :] @ x[i + 1 :, :-1]
        x[i] = lfilter([1.0], [1.0, -T[i, i]], x[i])
    return (Z @ x).real


def triangle(blocks):
    """R of the QR decomposition of all blocks() stacked vertically.

    Shifted Cholesky QR in three rounds is as exact as Householder's method, for singular blocks
    too, and needs only products, which remain fast on a shared processor.

    Reference: T. Fukaya et al., SIAM J. Sci. Comput. 42 (2020) A477-A503.
    """
    R = None
    for _ in range(3):
        squares = 0
        for block in blocks():
            Q = block if R is None else solve_triangular(R.T, block.T, lower=True).T
            squares = squares + Q.T @ Q
        shift = 1e-13 * np.trace(squares) * np.eye(len(squares))
        factor = np.linalg.cholesky(squares + shift).T
        R = factor if R is None else factor @ R
    return R
