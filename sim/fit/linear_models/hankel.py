"""The block-Hankel matrix of past and future samples: its factor, the observability matrix and the
order of a linear system.
"""

import numpy as np

from sim.fit.linear_models.predictor import triangle

# The windows that are multiplied at a time, which bounds the memory.
BLOCK = 8192


def count_windows(ys, horizon) -> int:
    """The number of windows of a past and a future, each of ``horizon`` samples, in all records."""
    return sum(max(len(y) - 2 * horizon + 1, 0) for y in ys)


def _hankel(x, start, rows, windows):
    """(windows, rows · k); block i of the columns is x from sample start + i on."""
    parts = [x[start + i : start + i + windows] for i in range(rows)]
    return np.concatenate(parts, axis=1)


def hankel_factor(us, ys, horizon):
    """Lower triangular L of [Uf; Up; Yp; Yf] / √T = L Q, with T windows.

    Raises:
        ValueError: the input does not excite all directions of its past and future.
    """

    def blocks():
        for u, y in zip(us, ys, strict=True):
            windows = len(y) - 2 * horizon + 1
            for first in range(0, windows, BLOCK):
                part = slice(first, min(first + BLOCK, windows) + 2 * horizon - 1)
                n = part.stop - first - 2 * horizon + 1
                yield np.concatenate(
                    [
                        _hankel(x[part], start, horizon, n)
                        for x, start in ((u, horizon), (u, 0), (y, 0), (y, horizon))
                    ],
                    axis=1,
                )

    L = triangle(blocks).T / np.sqrt(count_windows(ys, horizon))
    size = 2 * horizon * us[0].shape[1]
    if size:
        excited = np.linalg.svd(L[:size, :size], compute_uv=False)
        rank = np.sum(excited > 1e-8 * excited[0])
        if rank < size:
            raise ValueError(
                f"u: expected an input that excites {size} directions (2 · horizon · inputs), "
                f"got {rank}; a richer input, or a horizon of at most "
                f"{rank // (2 * us[0].shape[1])}, would do"
            )
    return L


def observability(L, horizon, inputs, outputs):
    """The directions of Γ, their canonical correlations, and the last block of L, which belongs to
    the innovations."""
    ahead, past = horizon * inputs, horizon * (2 * inputs + outputs)
    both = L[past:, ahead:]
    U, s, V = np.linalg.svd(both, full_matrices=False)
    # Data without noise span only the directions of the states: the rest is rounding.
    spanned = s > 1e-11 * s[0]
    left, sigma, _ = np.linalg.svd(V[spanned][:, : past - ahead], full_matrices=False)
    return (U[:, spanned] * s[spanned]) @ left, np.minimum(sigma, 1), L[past:, past:]


def choose_order(sigma, width, ahead, windows):
    """The number of correlations above the largest one between two sets of rows of noise alone.

    Args:
        sigma: the canonical correlations.
        width, ahead: the number of rows in the past, and of outputs in the future.
        windows: the number of columns.
    """
    a, b = min(width / windows, 0.5), min(ahead / windows, 0.5)
    edge = np.sqrt(a * (1 - b)) + np.sqrt(b * (1 - a))
    return max(int(np.sum(sigma > 1.1 * edge)), 1)
