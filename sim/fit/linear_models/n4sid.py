"""A linear model from input and output alone, without a start or a search: N4SID.

NumPy and LAPACK, in float64: it gives a starting point and is not differentiated.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_discrete_are

from sim import check
from sim.fit.linear_models.innovations_model import Linear
from sim.fit.linear_models.predictor import inputs_and_start, triangle
from sim.records.columns import as_records, check_finite, check_same_lengths


class Subspace(NamedTuple):
    """A linear system with its innovations, as found from data.

        xₖ₊₁ = A xₖ + B (uₖ − ū) + K eₖ,   yₖ = ȳ + C xₖ + D (uₖ − ū) + eₖ

    Attributes:
        A, B, C, D, K: shapes (n, n), (n, m), (p, n), (p, m), (n, p).
        x0: the state at the first sample, (n,); for a list of records (records, n).
        singular_values: the canonical correlations of past and future, largest first,
            each at most 1: those of the model's states, then those of the noise.
        R: the covariance of e, (p, p).
        u_mean, y_mean: ū (m,) and ȳ (p,), zero unless they were asked for.
    """

    A: Any
    B: Any
    C: Any
    D: Any
    K: Any
    x0: Any
    singular_values: Any
    R: Any
    u_mean: Any
    y_mean: Any

    @property
    def system(self) -> Linear:
        """A, B, C, D and K, as `linear` takes them and `fit` refines them."""
        return Linear(self.A, self.B, self.C, self.D, self.K)


class ConstantColumn(ValueError):
    """A column of an input or an output never changes.

    Attributes:
        argument: "u" or "y".
        column: its number.
    """

    def __init__(self, argument: str, column: int, value: float):
        super().__init__(
            f"{argument}: expected a record that varies, got column {column} constant at "
            f"{value + 0.0:g}: it tells nothing of the dynamics"
        )
        self.argument, self.column = argument, column


def n4sid(
    u: Any,
    y: Any,
    order: int | None = None,
    *,
    horizon: int | None = None,
    means: bool = False,
    stable: bool = False,
) -> Subspace:
    """Yf = Γ X + H Uf + noise, X in the rows of the past: Γ by canonical correlations.

    One QR of the block-Hankel matrix of future inputs, past and future outputs leaves the
    correlations of past and future with the future input taken out (CVA weights). Their
    directions are Γ = [C; CA; …], which gives A and C; the innovation of the first future
    output, seen in the later ones, gives K; B, D and x₀ then minimise Σ |e|², the
    prediction errors. Inputs and outputs are scaled inside.

    With ``order=None`` the order counts the correlations above what T windows of noise
    alone would show, given a tenth more because the windows overlap:

        σ > 1.1 (√(a (1 − b)) + √(b (1 − a))),   a = horizon (m + p) / T,   b = horizon p / T

    Args:
        u: input, shape (T,) or (T, m), or a list of such records; None where nothing drives.
        y: output, shape (T,) or (T, p), or a list.
        order: n; None chooses it.
        horizon: how many samples the past has, and the future. None for 20, or fewer where
            the records are short; lightly damped systems sampled fast want more.
        means: take the mean off each input and output, over all records, and give it back.
        stable: eigenvalues of A outside the unit circle are mirrored into it.

    Returns:
        `Subspace`.

    Raises:
        ValueError: too few samples for the horizon, an input that does not vary or does
            not excite enough directions, numbers that are not finite, an output that does
            not vary, an order that the horizon cannot hold.

    Reference: P. Van Overschee and B. De Moor, "N4SID: subspace algorithms for the
    identification of combined deterministic-stochastic systems", Automatica 30 (1994)
    75-93; for the order K. W. Wachter, "The limiting empirical measure of multiple
    discriminant ratios", Annals of Statistics 8 (1980) 937-957.

    >>> from scipy.signal import lfilter
    >>> u = np.random.default_rng(0).normal(size=400)
    >>> y = lfilter([0.0, 1.0], [1.0, -1.5, 0.7], u)
    >>> found = n4sid(u, y, order=2)
    >>> np.poly(found.A).round(6).tolist()
    [1.0, -1.5, 0.7]
    """
    single = not isinstance(y, list | tuple)
    ys = as_records("y", y)
    us = [np.zeros((len(y), 0)) for y in ys] if u is None else as_records("u", u)
    check_same_lengths("u", us, "y", ys)
    for name, xs in (("u", us), ("y", ys)):
        check_finite(name, xs, "give the parts between gaps as a list of records")
    us, u_mean, u_scale = _normalise("u", us, means)
    ys, y_mean, y_scale = _normalise("y", ys, means)
    horizon = _horizon(horizon, order, us, ys)
    inputs, outputs = us[0].shape[1], ys[0].shape[1]

    L = _factor(us, ys, horizon)
    gamma, sigma, later = _observability(L, horizon, inputs, outputs)
    if order is None:
        windows = _windows(ys, horizon)
        order = _order(sigma, horizon * (inputs + outputs), horizon * outputs, windows)
    if len(sigma) < order or sigma[order - 1] < 1e-9:
        rank = np.sum(sigma >= 1e-9)
        raise ValueError(f"order: expected at most {rank}, all that the record shows, got {order}")
    gamma = gamma[:, :order] * np.sqrt(sigma[:order])
    C, A = gamma[:outputs], np.linalg.lstsq(gamma[:-outputs], gamma[outputs:], rcond=None)[0]
    if stable:
        A = _mirror_poles(A)
    K = _gain(A, C, gamma, later, outputs)
    B, D, x0, R = inputs_and_start(A, C, K, us, ys)

    return Subspace(
        A,
        B / u_scale,
        C * y_scale[:, None],
        D * y_scale[:, None] / u_scale,
        K / y_scale,
        x0[0] if single else x0,
        sigma,
        R * y_scale[:, None] * y_scale,
        u_mean,
        y_mean,
    )


def _normalise(name, xs, means):
    every = np.concatenate(xs)
    flat = np.flatnonzero(np.ptp(every, axis=0) == 0)
    if len(flat):
        raise ConstantColumn(name, int(flat[0]), every[0, flat[0]])
    mean = every.mean(axis=0) if means else np.zeros(every.shape[1])
    scale = np.sqrt(np.mean((every - mean) ** 2, axis=0))
    return [(x - mean) / scale for x in xs], mean, scale


def _horizon(horizon, order, us, ys):
    inputs, outputs = us[0].shape[1], ys[0].shape[1]
    # The rows of Γ less one block must hold the order.
    least = 2 if order is None else -(-check.positive("order", order) // outputs) + 1
    width = 2 * (inputs + outputs)
    if horizon is None:
        horizon = max(20, 2 * least)
        while horizon > least and _windows(ys, horizon) < 4 * horizon * width:
            horizon -= 1
    elif check.positive("horizon", horizon) < least:
        raise ValueError(f"horizon: expected at least {least} for order {order}, got {horizon}")
    if _windows(ys, horizon) < horizon * width:
        raise ValueError(
            f"y: expected at least {horizon * width + 2 * horizon - 1} samples in a record for "
            f"horizon {horizon}, {inputs} inputs and {outputs} outputs, got {[len(y) for y in ys]}"
        )
    return horizon


def _windows(ys, horizon):
    return sum(max(len(y) - 2 * horizon + 1, 0) for y in ys)


def _hankel(x, start, rows, windows):
    """Column block i is x from start + i on: (windows, rows · k)."""
    parts = [x[start + i : start + i + windows] for i in range(rows)]
    return np.concatenate(parts, axis=1)


def _factor(us, ys, horizon):
    """Lower triangular L of [Uf; Up; Yp; Yf] = L Q, scaled by √T; the input's rank is checked."""

    def blocks():
        for u, y in zip(us, ys, strict=True):
            windows = len(y) - 2 * horizon + 1
            for first in range(0, windows, 8192):
                part = slice(first, min(first + 8192, windows) + 2 * horizon - 1)
                n = part.stop - first - 2 * horizon + 1
                yield np.concatenate(
                    [
                        _hankel(x[part], start, horizon, n)
                        for x, start in ((u, horizon), (u, 0), (y, 0), (y, horizon))
                    ],
                    axis=1,
                )

    L = triangle(blocks).T / np.sqrt(_windows(ys, horizon))
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


def _observability(L, horizon, inputs, outputs):
    """Γ's directions with their canonical correlations, and L's last block: the innovations."""
    ahead, past = horizon * inputs, horizon * (2 * inputs + outputs)
    both = L[past:, ahead:]
    U, s, V = np.linalg.svd(both, full_matrices=False)
    # Noise-free data span no more than the states: the rest is rounding.
    kept = s > 1e-11 * s[0]
    left, sigma, _ = np.linalg.svd(V[kept][:, : past - ahead], full_matrices=False)
    return (U[:, kept] * s[kept]) @ left, np.minimum(sigma, 1), L[past:, past:]


def _order(sigma, width, ahead, windows):
    """How many correlations pass the largest that noise alone shows of two such sets of rows."""
    a, b = min(width / windows, 0.5), min(ahead / windows, 0.5)
    edge = np.sqrt(a * (1 - b)) + np.sqrt(b * (1 - a))
    return max(int(np.sum(sigma > 1.1 * edge)), 1)


def _gain(A, C, gamma, later, outputs):
    """K, from how an innovation shows later: Γ K e; A − K C made stable where it is not."""
    now = later[:outputs, :outputs]
    U, s, V = np.linalg.svd(now)
    # Data without noise have no innovation, and need no gain.
    inverse = (V.T * np.where(s > 1e-9, 1 / np.maximum(s, 1e-9), 0)) @ U.T
    shown = later[outputs:, :outputs] @ inverse
    K = np.linalg.lstsq(gamma[:-outputs], shown, rcond=None)[0]
    if _radius(A - K @ C) < 1:
        return K
    # The same noise, by the gain of its Kalman filter; a little more of it, so that there is one.
    R = now @ now.T + 1e-9 * np.eye(outputs)
    Q = K @ R @ K.T + 1e-9 * np.eye(len(A))
    try:
        P = solve_discrete_are(A.T, C.T, Q, R, s=K @ R)
    except np.linalg.LinAlgError:
        return np.zeros_like(K)
    return np.linalg.solve(C @ P @ C.T + R, (A @ P @ C.T + K @ R).T).T


def _radius(A):
    return np.max(abs(np.linalg.eigvals(A)))


def _mirror_poles(A):
    values, vectors = np.linalg.eig(A)
    size = abs(values)
    mirrored = np.where(size >= 1, values / size * np.minimum(1 / size, 1 - 1e-6), values)
    return A if np.all(size < 1) else (vectors * mirrored @ np.linalg.inv(vectors)).real
