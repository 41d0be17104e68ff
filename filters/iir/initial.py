"""Initial states of a filter: settled on a constant input, or after given samples."""

import jax
import jax.numpy as jnp
import numpy as np

from filters.iir.arrays import common_dtype, polynomials, sections
from filters.iir.numeric import ArgumentError


def lfilter_zi(b, a):
    """The state of `lfilter` that has settled on an input of ones.

        zₖ = Σ_{j>k} (bⱼ − g aⱼ),   g = Σ b / Σ a

    Multiplied by the first sample it starts the filter without a transient.

    Args:
        b: (M,) numerator.
        a: (N,) denominator; leading zeros are skipped.

    Returns:
        (max(M, N) − 1,), for `lfilter` of one channel.

    Raises:
        ValueError: b or a is empty or no vector, or a has the root 1 (checked where it is
            known).

    Reference: `scipy.signal.lfilter_zi`.

    >>> lfilter_zi([1.0, 0.0, 2.0], [1.0, -1.0, 0.5]).tolist()
    [5.0, -1.0]
    """
    if not isinstance(a, jax.core.Tracer) and np.ndim(a) == 1 and np.any(np.asarray(a)):
        a = a[int(np.flatnonzero(np.asarray(a))[0]) :]
    b, a = polynomials(b, a)
    check_settles("a", a)
    dtype = common_dtype(b, a)
    return step_state(b.astype(dtype), a.astype(dtype))


@jax.jit
def step_state(b, a):
    """`lfilter_zi` without its checks."""
    n = max(len(b), len(a))
    b, a = (jnp.pad(p, (0, n - len(p))) for p in (b, a))
    # Divided by the first coefficient, a common factor of b and a.
    rest = (b - jnp.sum(b) / jnp.sum(a) * a)[1:] / a[0]
    return jnp.cumsum(rest[::-1])[::-1]


def sosfilt_zi(sos):
    """The states of `sosfilt` that have settled on an input of ones.

        z₁ = c (b₂ − g a₂),   z₀ = z₁ + c (b₁ − g a₁),   g = Σ b / Σ a

    for each section, with c the product of the gains g of those before it.

    Args:
        sos: (S, 6).

    Returns:
        (S, 2), for `sosfilt` of one channel.

    Raises:
        ValueError: as `sosfilt`, or a section has the pole 1 (checked where it is known).

    Reference: `scipy.signal.sosfilt_zi`.

    >>> sosfilt_zi([[1.0, 0.0, 2.0, 1.0, -1.0, 0.5]]).tolist()
    [[5.0, -1.0]]
    """
    sos = sections(sos)
    check_settles("sos", sos[:, 3:])
    return section_states(jnp.asarray(sos, common_dtype(sos)))


@jax.jit
def section_states(sos):
    """`sosfilt_zi` without its checks."""
    b, a = sos[:, :3], sos[:, 3:]
    g = jnp.sum(b, axis=1) / jnp.sum(a, axis=1)
    enters = jnp.concatenate([jnp.ones_like(g[:1]), jnp.cumprod(g[:-1])])
    rest = enters[:, None] * (b - g[:, None] * a)
    return jnp.stack([rest[:, 1] + rest[:, 2], rest[:, 2]], axis=1)


def check_settles(name, a):
    """Raise ValueError if the filter has a pole at 1, with which it never settles."""
    if not isinstance(a, jax.core.Tracer) and not np.all(np.asarray(a).sum(axis=-1)):
        raise ArgumentError(name, "expected no pole at 1, where a step never settles, got one")


def lfiltic(b, a, y, x=None):
    """The state of `lfilter` after given samples.

        zₖ = (Σ_{j>k} bⱼ x₋₍ⱼ₋ₖ₎ − Σ_{j>k} aⱼ y₋₍ⱼ₋ₖ₎) / a₀

    Args:
        b: (M,) numerator.
        a: (N,) denominator.
        y: the outputs, the latest first: y₋₁, y₋₂, …; those missing are 0.
        x: the inputs, likewise; None is 0.

    Returns:
        (max(M, N) − 1,), for `lfilter` of one channel.

    Raises:
        ValueError: b or a is empty or no vector, a₀ is 0, or y or x is no vector.

    Reference: `scipy.signal.lfiltic`.

    >>> lfiltic([1.0], [1.0, -0.5], [4.0]).tolist()
    [2.0]
    """
    b, a = polynomials(b, a)
    y = jnp.atleast_1d(jnp.asarray(y))
    x = y[:0] if x is None else jnp.atleast_1d(jnp.asarray(x))
    for name, v in (("y", y), ("x", x)):
        if v.ndim != 1:
            raise ValueError(f"{name}: expected a vector of samples, got shape {v.shape}")
    dtype = common_dtype(b, a, y, x)
    return _lfiltic(*(v.astype(dtype) for v in (b, a, y, x)))


@jax.jit
def _lfiltic(b, a, y, x):
    n = max(len(b), len(a)) - 1
    return (_carry_over(b, x, n) - _carry_over(a, y, n)) / a[0]


def _carry_over(p, v, n):
    """Σ_{j>k} pⱼ v₋₍ⱼ₋ₖ₎ for k = 0 … n − 1."""
    k, j = np.arange(n)[:, None], np.arange(n)[None, :]
    p = jnp.pad(p[1:], (0, n - len(p) + 1))
    v = jnp.pad(v[:n], (0, max(n - len(v), 0)))
    return jnp.where(k + j < n, p[np.minimum(k + j, max(n - 1, 0))], 0) @ v
