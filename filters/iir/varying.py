"""Filters whose coefficients change from sample to sample: they enter through ``xs``.

The step of each takes a mapping with the sample and the coefficients at that sample, so that
`sim.rollout` drives it with one array per entry; all entries have derivatives.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.iir.sosfilt import sections_step
from sim import Stepper

# Above it the trapezoidal integrator would need an infinite gain.
HIGHEST = 0.4999


def varying_sos_stepper(sections: int, channels: tuple[int, ...] = (), dtype=float) -> Stepper:
    """A cascade of second-order sections with new coefficients for every sample.

        yₖ = b₀ₖ xₖ + z₀,   z₀ ← b₁ₖ xₖ − a₁ₖ yₖ + z₁,   z₁ ← b₂ₖ xₖ − a₂ₖ yₖ

    for each section in turn. With constant coefficients it is `sosfilt`. Sections that
    are stable at every instant may still grow without bound when they change fast;
    `state_variable_stepper` does not, and suits a modulated cutoff.

    Args:
        sections: S, how many.
        channels: the shape of a sample.
        dtype: of samples, coefficients and state.

    Returns:
        A stepper: ``init(zi=None)`` with zi (S, 2, …channels), at rest by default; its
        step takes {"x": (…channels), "sos": (S, 6)}, or "sos" of shape (S, 6,
        …channels) for a filter per channel, with a₀ = 1 (column 3 is not read), and
        gives y (…channels). The state is a tuple of 2 S (…channels).

    Raises:
        ValueError: an entry of the input is missing, or has another shape or kind.

    Reference: as `sosfilt`.

    >>> from sim import rollout
    >>> gain = varying_sos_stepper(1)
    >>> sos = jnp.array([[[1.0, 0, 0, 1, 0, 0]], [[2.0, 0, 0, 1, 0, 0]]])
    >>> rollout(gain.step, gain.init(), {"x": jnp.ones(2), "sos": sos})[1].tolist()
    [1.0, 2.0]
    """
    if isinstance(sections, bool) or not isinstance(sections, int | np.integer) or sections < 1:
        raise ValueError(f"sections: expected an integer of at least 1, got {sections!r}")
    rest = jnp.zeros((int(sections), 2, *channels), jax.dtypes.canonicalize_dtype(dtype))
    return Stepper(Partial(_sections_init, rest), Partial(_sections_step))


def _sections_init(rest, zi=None):
    zi = rest if zi is None else _entry({"zi": zi}, "zi", rest.dtype, rest.shape)
    return tuple(zi.reshape(2 * len(rest), *rest.shape[2:]))


def _sections_step(z, x):
    dtype, channels, shape = z[0].dtype, z[0].shape, (len(z) // 2, 6)
    sos = _entry(x, "sos", dtype, shape, (*shape, *channels))
    return sections_step(sos, z, _entry(x, "x", dtype, channels))


def state_variable_stepper(
    output: str = "lowpass", channels: tuple[int, ...] = (), fs: float = 2.0, dtype=float
) -> Stepper:
    """A second-order filter whose cutoff and Q change with every sample, and that stays bounded.

        v₁ = (s₁ + g (x − s₂)) / (1 + g (g + k)),   v₂ = s₂ + g v₁,   s ← 2 v − s,
        g = tan(π cutoff/fs),   k = 1/Q

    v₁ and v₂ are the band- and low-pass outputs of two trapezoidal integrators; the other
    outputs are combinations of them. At a fixed cutoff this is the bilinear transform of
    the analog section, prewarped to the cutoff. The state is that of the integrators, for
    any g and k, and |s|² grows by at most g Q x² in a sample: without input it never grows,
    however cutoff and Q change, while they are positive.

    Args:
        output: "lowpass", "highpass", "bandpass" (gain 1 at its centre), "notch",
            "allpass", or "peaking", "lowshelf", "highshelf", which have a gain.
        channels: the shape of a sample.
        fs: the sampling frequency, in the unit of the cutoff; by default the cutoff is a
            fraction of the Nyquist frequency.
        dtype: of samples and state.

    Returns:
        A stepper: ``init(s=None)`` with s (2, …channels), at rest by default; its step
        takes {"x": (…channels), "cutoff", "q"}, and "gain" in dB for the last three,
        scalars or (…channels), and gives y (…channels). A cutoff is clipped to
        the range from 0 to 0.4999 fs; q is above 0.

    Raises:
        ValueError: there is no such output, fs is not above 0, or an entry of the input
            is missing, unknown, or has another shape or kind.

    Reference: V. Zavalishin, *The Art of VA Filter Design*, 2.1.2, 2018, chapters 3-4;
    the outputs are those of R. Bristow-Johnson, *Audio EQ Cookbook*.

    >>> from sim import rollout
    >>> wah = state_variable_stepper("lowpass", fs=48e3)
    >>> cutoff = 1000 + 500 * jnp.sin(jnp.arange(1000.0))
    >>> xs = {"x": jnp.ones(1000), "cutoff": cutoff, "q": jnp.full(1000, 0.7)}
    >>> round(float(rollout(wah.step, wah.init(), xs)[1][-1]), 6)
    1.0
    """
    if output not in OUTPUTS:
        raise ValueError(f"output: expected one of {tuple(OUTPUTS)}, got {output!r}")
    if np.ndim(fs) or not (isinstance(fs, jax.core.Tracer) or fs > 0):
        raise ValueError(f"fs: expected a sampling frequency above 0, got {fs!r}")
    rest = jnp.zeros((2, *channels), jax.dtypes.canonicalize_dtype(dtype))
    if jnp.iscomplexobj(rest):
        raise ValueError(f"dtype: expected a real one, got {rest.dtype}")
    return Stepper(Partial(_variable_init, rest), Partial(_STEPS[output], fs))


def _variable_init(rest, s=None):
    return tuple(rest if s is None else _entry({"s": s}, "s", rest.dtype, rest.shape))


def _variable_step(output, fs, s, x):
    s1, s2 = s
    dtype, shape = s1.dtype, s1.shape
    known = {"x", "cutoff", "q", "gain"} if output in WITH_GAIN else {"x", "cutoff", "q"}
    if isinstance(x, dict) and x.keys() - known:
        raise ValueError(f"x: expected the entries {sorted(known)}, got {sorted(x)}")
    v0 = _entry(x, "x", dtype, shape)
    cutoff, q = (_entry(x, name, dtype, (), shape) for name in ("cutoff", "q"))
    A = 1.0
    if output in WITH_GAIN:
        A = jnp.exp(_entry(x, "gain", dtype, (), shape) * (np.log(10) / 40))
    g = jnp.tan(np.pi * jnp.clip(cutoff / jnp.asarray(fs, dtype), 0.0, HIGHEST))
    prototype, mix = OUTPUTS[output]
    g, k = prototype(g, 1 / q, A)
    v1 = (s1 + g * (v0 - s2)) / (1 + g * (g + k))
    v2 = s2 + g * v1
    return (2 * v1 - s1, 2 * v2 - s2), mix(v0, v1, v2, k, A)


def _as_they_are(g, k, A):
    return g, k


# For each output: g and k of its poles, and its combination of v₁ and v₂.
OUTPUTS = {
    "lowpass": (_as_they_are, lambda x, v1, v2, k, A: v2),
    "highpass": (_as_they_are, lambda x, v1, v2, k, A: x - k * v1 - v2),
    "bandpass": (_as_they_are, lambda x, v1, v2, k, A: k * v1),
    "notch": (_as_they_are, lambda x, v1, v2, k, A: x - k * v1),
    "allpass": (_as_they_are, lambda x, v1, v2, k, A: x - 2 * k * v1),
    "peaking": (
        lambda g, k, A: (g, k / A),
        lambda x, v1, v2, k, A: x + k * (A * A - 1) * v1,
    ),
    "lowshelf": (
        lambda g, k, A: (g / jnp.sqrt(A), k),
        lambda x, v1, v2, k, A: x + k * (A - 1) * v1 + (A * A - 1) * v2,
    ),
    "highshelf": (
        lambda g, k, A: (g * jnp.sqrt(A), k),
        lambda x, v1, v2, k, A: A * A * x + k * (1 - A) * A * v1 + (1 - A * A) * v2,
    ),
}
WITH_GAIN = ("peaking", "lowshelf", "highshelf")
# One function for each output, so that `jit` traces equal steppers once.
_STEPS = {output: partial(_variable_step, output) for output in OUTPUTS}


def _entry(x, name, dtype, *shapes):
    """An entry of the input of a step, in the dtype of the state."""
    if not isinstance(x, dict) or name not in x:
        got = sorted(x) if isinstance(x, dict) else type(x).__name__
        raise ValueError(f"x: expected a mapping with the entry {name!r}, got {got}")
    value = jnp.asarray(x[name])
    if not np.can_cast(value.dtype, dtype, "same_kind"):
        raise ValueError(f"{name}: expected {dtype}, got {value.dtype}")
    if value.shape not in shapes:
        expected = " or ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(f"{name}: expected shape {expected}, got {value.shape}")
    return value.astype(dtype)
