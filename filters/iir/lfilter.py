"""Rational transfer functions: `lfilter`, and the direct form as a step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.iir.arrays import at_rest, common_dtype, polynomials, signal
from filters.iir.recursion import run
from sim import Stepper


def lfilter(b, a, x, axis: int = -1, zi=None, *, form: str | None = None):
    """Filter along one axis by a rational transfer function.

        a₀ yₖ = b₀ xₖ + b₁ xₖ₋₁ + … − a₁ yₖ₋₁ − a₂ yₖ₋₂ − …

    in transposed direct form II, as `scipy.signal.lfilter`. Above order 4 or so polynomial
    coefficients do not determine the poles accurately: prefer `sosfilt`.

    Args:
        b: (M,) numerator, real or complex.
        a: (N,) denominator, a₀ not 0; a number, or one element, for a finite response.
        x: the signal, of any shape.
        axis: the axis of x along which time runs.
        zi: the state before the first sample, of the shape of x but for
            max(M, N) − 1 along the axis; None is at rest.
        form: "scan", "block" or "associative" (see `filters.iir.recursion`); None
            chooses from shapes and device. A finite response is a matrix product.

    Returns:
        y, of the shape of x; with ``zi`` also zf, the state after the last sample.

    Raises:
        ValueError: b or a is empty or no vector, a₀ is 0, or zi has another shape.

    Warns:
        UserWarning: a, given as numbers, has roots outside the unit circle.

    Reference: as `sosfilt`.

    >>> lfilter([1.0], [1.0, -0.5], jnp.array([1.0, 0.0, 0.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    b, a = polynomials(b, a)
    x, axis = signal(x, axis)
    dtype = common_dtype(b, a, x) if zi is None else common_dtype(b, a, x, zi)
    b, a, x = b.astype(dtype), a.astype(dtype), x.astype(dtype)
    if zi is not None:
        zi = jnp.asarray(zi).astype(dtype)
        n = max(len(a), len(b)) - 1
        expected = (*x.shape[:axis], n, *x.shape[axis + 1 :])
        # As in scipy, the axes other than time may have length 1.
        once = tuple(1 if k == 1 else m for k, m in zip(zi.shape, expected, strict=False))
        if zi.ndim != x.ndim or zi.shape != once or zi.shape[axis] != n:
            raise ValueError(f"zi: expected shape {expected}, got {zi.shape}")
        zi = jnp.broadcast_to(zi, expected)
        return apply_ba(b, a, x, zi, axis, form)
    return apply_ba(b, a, x, None, axis, form)[0]


def normalise_pair(b, a):
    """b and a of one length n + 1, divided by a₀."""
    n = max(len(a), len(b))
    return tuple(jnp.pad(p / a[0], (0, n - len(p))) for p in (b, a))


@partial(jax.jit, static_argnames=("axis", "form"))
def apply_ba(b, a, x, zi, axis, form):
    """`lfilter` of checked arguments, compiled."""
    finite, (b, a) = len(a) == 1, normalise_pair(b, a)
    n, last = len(a) - 1, axis == x.ndim - 1
    z = at_rest(n, x, axis, x.dtype) if zi is None else jnp.moveaxis(zi, axis, 0)
    if n == 0 or (finite and form is None):
        y, z = _finite(b, z, jnp.moveaxis(x, axis, -1))
        return jnp.moveaxis(y, -1, axis), jnp.moveaxis(z, 0, axis)
    x = x if last else jnp.moveaxis(x, axis, 0)
    y, z = run(direct_step, (b, a), tuple(z), x, form, last)
    z = jnp.stack(z)
    return (y if last else jnp.moveaxis(y, 0, axis)), jnp.moveaxis(z, 0, axis)


def direct_step(coefficients, z, x):
    """One sample through the transposed direct form II: z a tuple of n (…), x and y (…)."""
    b, a = coefficients
    y = b[0] * x + (z[0] if z else 0)
    later = (*z[1:], 0)
    return tuple(b[k] * x - a[k] * y + later[k - 1] for k in range(1, len(b))), y


def _finite(b, z, x):
    """A finite response, block by block: each adds its tail to the next."""
    n, samples = len(b) - 1, x.shape[-1]
    length = max(32, n)
    spread = np.arange(length + n)[:, None] - np.arange(length)[None, :]
    T = jnp.where((spread >= 0) & (spread <= n), b[np.clip(spread, 0, n)], 0)
    count = -(-(samples + n) // length)
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, count * length - samples)])
    Y = padded.reshape(*x.shape[:-1], count, length) @ T.T
    response, tail = Y[..., :length], Y[..., length:]
    before = jnp.concatenate([jnp.moveaxis(z, 0, -1)[..., None, :], tail[..., :-1, :]], axis=-2)
    y = response.at[..., :n].add(before).reshape(*x.shape[:-1], count * length)
    return y[..., :samples], jnp.moveaxis(y[..., samples : samples + n], -1, 0)


def direct_stepper(b, a, channels: tuple[int, ...] = ()) -> Stepper:
    """The transfer function as a step: one sample in, one sample out.

    Args:
        b, a: as in `lfilter`.
        channels: the shape of a sample.

    Returns:
        A stepper: ``init(zi=None)`` with zi (n, …channels); see `sos_stepper`. It
        equals `lfilter` to rounding, where the division by a₀ is compiled with the rest.

    Raises:
        ValueError: as `lfilter`.

    Reference: as `sosfilt`.

    >>> from sim import rollout
    >>> one_pole = direct_stepper([1.0], [1.0, -0.5])
    >>> rollout(one_pole.step, one_pole.init(), jnp.array([1.0, 0.0, 0.0]))[1].tolist()
    [1.0, 0.5, 0.25]
    """
    b, a = polynomials(b, a)
    dtype = common_dtype(b, a)
    b, a = normalise_pair(b.astype(dtype), a.astype(dtype))
    rest = jnp.zeros((len(a) - 1, *channels), dtype)
    return Stepper(Partial(_init, rest), Partial(direct_step, (b, a)))


def _init(rest, zi=None):
    zi = rest if zi is None else jnp.asarray(zi).astype(rest.dtype)
    if zi.shape != rest.shape:
        raise ValueError(f"zi: expected shape {rest.shape}, got {zi.shape}")
    return tuple(zi)
