"""A linear model from input and output alone, without a start or a search: N4SID.

NumPy and LAPACK, in float64: it provides a starting point and is not differentiated.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_discrete_are

from sim import check
from sim.fit.linear_models.hankel import (
    choose_order,
    count_windows,
    hankel_factor,
    observability,
)
from sim.fit.linear_models.innovations_model import Linear
from sim.fit.linear_models.predictor import inputs_and_start
from sim.records.columns import as_records, check_finite, check_same_lengths


class Subspace(NamedTuple):
    """A linear system in innovations form, identified from data.

        xₖ₊₁ = A xₖ + B (uₖ − ū) + K eₖ,   yₖ = ȳ + C xₖ + D (uₖ − ū) + eₖ

    Attributes:
        A, B, C, D, K: shapes (n, n), (n, m), (p, n), (p, m), (n, p).
        x0: the state at the first sample, (n,); for a list of records (records, n).
        singular_values: the canonical correlations of past and future, largest first,
            each at most 1: those of the model's states, then those of the noise.
        R: the covariance of e, (p, p).
        u_mean, y_mean: ū (m,) and ȳ (p,), zero unless ``means`` was true.
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
        """A, B, C, D and K, for `linear`, to be refined by `fit`."""
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

    One QR of the block-Hankel matrix of future inputs, past and future outputs gives the
    correlations of past and future without the effect of the future input (CVA weights).
    Their directions are Γ = [C; CA; …], which gives A and C. The effect of the innovation of
    the first future output on the later ones gives K. B, D and x₀ then minimise Σ |e|², the
    prediction errors. Inputs and outputs are scaled internally.

    With ``order=None`` the order is the number of correlations above the largest one of T
    windows of noise alone, with a tenth added because the windows overlap:

        σ > 1.1 (√(a (1 − b)) + √(b (1 − a))),   a = horizon (m + p) / T,   b = horizon p / T

    Args:
        u: input, shape (T,) or (T, m), or a list of such records; None without an input.
        y: output, shape (T,) or (T, p), or a list.
        order: n; None to choose it from the data.
        horizon: the number of samples in the past, and in the future. None for 20, or fewer
            for short records; lightly damped systems sampled fast need more.
        means: remove the mean of each input and output over all records, and return it.
        stable: mirror eigenvalues of A outside the unit circle into it.

    Returns:
        `Subspace`.

    Raises:
        ValueError: there are too few samples for the horizon, an input or output is constant
            or not finite, the input does not excite enough directions, or the order is too
            large for the horizon or the record.

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
    horizon = _choose_horizon(horizon, order, us, ys)
    inputs, outputs = us[0].shape[1], ys[0].shape[1]

    L = hankel_factor(us, ys, horizon)
    gamma, sigma, later = observability(L, horizon, inputs, outputs)
    if order is None:
        windows = count_windows(ys, horizon)
        order = choose_order(sigma, horizon * (inputs + outputs), horizon * outputs, windows)
    if len(sigma) < order or sigma[order - 1] < 1e-9:
        rank = np.sum(sigma >= 1e-9)
        raise ValueError(f"order: expected at most {rank}, the rank of the record, got {order}")
    gamma = gamma[:, :order] * np.sqrt(sigma[:order])
    C, A = gamma[:outputs], np.linalg.lstsq(gamma[:-outputs], gamma[outputs:], rcond=None)[0]
    if stable:
        A = _mirror_poles(A)
    K = _kalman_gain(A, C, gamma, later, outputs)
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
    """Records less their mean, in units of their size; that mean and size of each column."""
    samples = np.concatenate(xs)
    constant = np.flatnonzero(np.ptp(samples, axis=0) == 0)
    if len(constant):
        raise ConstantColumn(name, int(constant[0]), samples[0, constant[0]])
    mean = samples.mean(axis=0) if means else np.zeros(samples.shape[1])
    scale = np.sqrt(np.mean((samples - mean) ** 2, axis=0))
    return [(x - mean) / scale for x in xs], mean, scale


def _choose_horizon(horizon, order, us, ys):
    inputs, outputs = us[0].shape[1], ys[0].shape[1]
    # Γ without one block must have at least as many rows as the order.
    least = 2 if order is None else -(-check.positive("order", order) // outputs) + 1
    width = 2 * (inputs + outputs)
    if horizon is None:
        horizon = max(20, 2 * least)
        while horizon > least and count_windows(ys, horizon) < 4 * horizon * width:
            horizon -= 1
    elif check.positive("horizon", horizon) < least:
        raise ValueError(f"horizon: expected at least {least} for order {order}, got {horizon}")
    if count_windows(ys, horizon) < horizon * width:
        raise ValueError(
            f"y: expected at least {horizon * width + 2 * horizon - 1} samples in a record for "
            f"horizon {horizon}, {inputs} inputs and {outputs} outputs, got {[len(y) for y in ys]}"
        )
    return horizon


def _kalman_gain(A, C, gamma, later, outputs):
    """K, from the effect Γ K e of an innovation on later outputs, such that A − K C is stable."""
    now = later[:outputs, :outputs]
    U, s, V = np.linalg.svd(now)
    # Data without noise have no innovation and need no gain.
    inverse = (V.T * np.where(s > 1e-9, 1 / np.maximum(s, 1e-9), 0)) @ U.T
    effect = later[outputs:, :outputs] @ inverse
    K = np.linalg.lstsq(gamma[:-outputs], effect, rcond=None)[0]
    if _spectral_radius(A - K @ C) < 1:
        return K
    # The Kalman gain for the same noise; a little is added to it, so that the gain exists.
    R = now @ now.T + 1e-9 * np.eye(outputs)
    Q = K @ R @ K.T + 1e-9 * np.eye(len(A))
    try:
        P = solve_discrete_are(A.T, C.T, Q, R, s=K @ R)
    except np.linalg.LinAlgError:
        return np.zeros_like(K)
    return np.linalg.solve(C @ P @ C.T + R, (A @ P @ C.T + K @ R).T).T


def _spectral_radius(A):
    return np.max(abs(np.linalg.eigvals(A)))


def _mirror_poles(A):
    values, vectors = np.linalg.eig(A)
    size = abs(values)
    mirrored = np.where(size >= 1, values / size * np.minimum(1 / size, 1 - 1e-6), values)
    return A if np.all(size < 1) else (vectors * mirrored @ np.linalg.inv(vectors)).real
