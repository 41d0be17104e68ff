"""Second-order sections: `sosfilt`, and the cascade as a step."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from filters.iir.arrays import at_rest, common_dtype, sections, signal
from filters.iir.recursion import run
from sim import Stepper


def sosfilt(sos, x, axis: int = -1, zi=None, *, form: str | None = None):
    """Filter along one axis by a cascade of second-order sections.

        yₖ = b₀ xₖ + z₀,   z₀ ← b₁ xₖ − a₁ yₖ + z₁,   z₁ ← b₂ xₖ − a₂ yₖ

    for each section in turn: the transposed direct form II, as `scipy.signal.sosfilt`.

    Args:
        sos: (S, 6), rows b₀ b₁ b₂ 1 a₁ a₂, real or complex.
        x: the signal, of any shape.
        axis: the axis of x along which time runs.
        zi: the states of the sections before the first sample, (S, …, 2, …) with 2 in
            the place of the time axis of x; None is at rest.
        form: "scan", "block" or "associative" (see `filters.iir.recursion`); None
            chooses from shapes and device.

    Returns:
        y, of the shape of x; with ``zi`` also zf, the states after the last sample.

    Raises:
        ValueError: sos is not (S, 6) with a₀ = 1, or zi has another shape.

    Warns:
        UserWarning: sos, given as numbers, has poles outside the unit circle.

    Reference: A. V. Oppenheim and R. W. Schafer, "Discrete-Time Signal Processing", 3rd
    ed., Pearson 2010, section 6.3.

    >>> sosfilt([[1.0, 0.0, 0.0, 1.0, -0.5, 0.0]], jnp.array([1.0, 0.0, 0.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    sos = sections(sos)
    x, axis = signal(x, axis)
    dtype = common_dtype(sos, x) if zi is None else common_dtype(sos, x, zi)
    sos, x = sos.astype(dtype), x.astype(dtype)
    if zi is None:
        return apply_sos(sos, x, None, axis, form)[0]
    zi = jnp.asarray(zi).astype(dtype)
    expected = (len(sos), *x.shape[:axis], 2, *x.shape[axis + 1 :])
    if zi.shape != expected:
        raise ValueError(f"zi: Invalid zi shape, expected {expected}, got {zi.shape}")
    return apply_sos(sos, x, zi, axis, form)


@partial(jax.jit, static_argnames=("axis", "form"))
def apply_sos(sos, x, zi, axis, form):
    """`sosfilt` of checked arguments, compiled."""
    n, last = 2 * len(sos), axis == x.ndim - 1
    if zi is None:
        z = at_rest(n, x, axis, x.dtype)
    else:  # (S, …, 2, …) to (2S, …)
        z = jnp.moveaxis(zi, axis + 1, 1).reshape(n, *x.shape[:axis], *x.shape[axis + 1 :])
    x = x if last else jnp.moveaxis(x, axis, 0)
    y, z = run(sections_step, sos, tuple(z), x, form, last)
    z = jnp.stack(z)
    zf = jnp.moveaxis(z.reshape(len(sos), 2, *z.shape[1:]), 1, axis + 1)
    return (y if last else jnp.moveaxis(y, 0, axis)), zf


def sections_step(sos, z, x):
    """One sample through all sections: z a tuple of 2 S (…), x and y (…)."""
    after = []
    for (b0, b1, b2, _, a1, a2), z0, z1 in zip(sos, z[::2], z[1::2], strict=True):
        y = b0 * x + z0
        after += [b1 * x - a1 * y + z1, b2 * x - a2 * y]
        x = y
    return tuple(after), x


def sos_stepper(sos, channels: tuple[int, ...] = ()) -> Stepper:
    """The cascade as a step: one sample in, one sample out.

    Args:
        sos: as in `sosfilt`.
        channels: the shape of a sample.

    Returns:
        A stepper: ``init(zi=None)`` with zi (S, 2, …channels); the input x of its step
        and its output y are samples (…channels). By `rollout` it gives what
        `sosfilt(..., axis=0, form="scan")` gives, to rounding; it may also stand in a
        cascade with a plant or an estimator, or be called live.

    Raises:
        ValueError: as `sosfilt`.

    Reference: as `sosfilt`.

    >>> from sim import rollout
    >>> smooth = sos_stepper([[0.5, 0.5, 0.0, 1.0, 0.0, 0.0]])
    >>> rollout(smooth.step, smooth.init(), jnp.array([2.0, 4.0, 6.0]))[1].tolist()
    [1.0, 3.0, 5.0]
    """
    sos = sections(sos)
    sos = jnp.asarray(sos, common_dtype(sos))
    return Stepper(Partial(_init, sos, jnp.zeros(channels, sos.dtype)), Partial(sections_step, sos))


def _init(sos, sample, zi=None):
    shape = (len(sos), 2, *sample.shape)
    zi = jnp.zeros(shape, sos.dtype) if zi is None else jnp.asarray(zi).astype(sos.dtype)
    if zi.shape != shape:
        raise ValueError(f"zi: expected shape {shape}, got {zi.shape}")
    return tuple(zi.reshape(2 * len(sos), *sample.shape))
