"""What is linear in the predictor of a linear system: B, D and the states it starts from."""

import numpy as np
from scipy.linalg import schur, solve_triangular
from scipy.signal import lfilter


def inputs_and_start(A, C, K, us, ys):
    """B, D and each x₀ that minimise Σ |e|², and the covariance of e."""
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
    """For each output, [x₀ | B − K D | D | y] of the predictor: linear in all but the last."""
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
    """x(t+1) = A x(t) + drive(t) as columns, from x(0): a filter for each row of Schur's triangle."""
    T, Z = schur(A, output="complex")
    x = Z.conj().T @ np.concatenate([start[:, None], drive[:, :-1]], axis=1)
    for i in reversed(range(len(A))):
        x[i, 1:] += T[i, i + 1 :] @ x[i + 1 :, :-1]
        x[i] = lfilter([1.0], [1.0, -T[i, i]], x[i])
    return (Z @ x).real


def triangle(blocks):
    """R of the QR of all blocks() one above the other.

    Three rounds of Cholesky, each of the last one's Q: as exact as Householder's, singular
    blocks too, in products alone, which keep their speed where others share the processor.
    The shift lets singular blocks through (Fukaya et al., SIAM J. Sci. Comput. 42 (2020)).
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
