"""Zero-phase filtering, forward and backward: `filtfilt` and `sosfiltfilt`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from filters.iir.arrays import common_dtype, polynomials, sections, signal
from filters.iir.gustafsson import gustafsson
from filters.iir.initial import check_settles, section_states, step_state
from filters.iir.lfilter import apply_ba as by_polynomials
from filters.iir.sosfilt import apply_sos as by_sections

PADDINGS = ("odd", "even", "constant")
METHODS = ("pad", "gust")


def filtfilt(
    b, a, x, axis: int = -1, padtype="odd", padlen=None, method="pad", irlen=None, *, form=None
):
    """Filter forward and then backward by a rational transfer function.

        Y(ω) = |H(ω)|² X(ω)   except at the two ends

    Args:
        b, a: as in `lfilter`.
        x: the signal, of any shape.
        axis: the axis of x along which time runs.
        padtype: how the signal continues beyond its ends: "odd" (turned about the end
            point), "even" (mirrored), "constant", or None (not at all).
        padlen: by how many samples; None is 3 max(M, N).
        method: "pad", or "gust": no padding, but initial states with which
            forward-backward is nearest to backward-forward (`filters.iir.gustafsson`,
            which shows the loss of digits with polynomials: for narrow bands use
            `sosfiltfilt`).
        irlen: with "gust", the length of the response of the filter in samples; it makes
            signals of more than twice that length far cheaper. None is the whole signal.
        form: as in `lfilter`.

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: as `lfilter`; an unknown padtype or method; x is not longer than the
            padding; or a padded filter has a pole at 1 (checked where it is known).

    Reference: `scipy.signal.filtfilt`; F. Gustafsson, "Determining the initial states in
    forward-backward filtering", IEEE Trans. Signal Process. 44 (1996), 988-992.

    >>> filtfilt([0.5, 0.5], [1.0], jnp.arange(8.0)).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    b, a = polynomials(b, a)
    x, axis = signal(x, axis)
    edge = _edge(x.shape[axis], padtype, padlen, method, irlen, 3 * max(len(b), len(a)))
    if method == "pad":
        check_settles("a", a)
    dtype = common_dtype(b, a, x)
    b, a, x = (v.astype(dtype) for v in (b, a, x))
    return _filtfilt(b, a, x, axis, padtype, edge, irlen, form)


def sosfiltfilt(
    sos, x, axis: int = -1, padtype="odd", padlen=None, method="pad", irlen=None, *, form=None
):
    """Filter forward and then backward by a cascade of second-order sections.

        Y(ω) = |H(ω)|² X(ω)   except at the two ends

    Args:
        sos: as in `sosfilt`.
        x, axis, padtype, method, irlen, form: as in `filtfilt`.
        padlen: by how many samples the signal is padded; None is 3 (2 S + 1 − m), with m
            the number of sections with b₂ = 0, or with a₂ = 0 if they are fewer.

    Returns:
        y, of the shape of x.

    Raises:
        ValueError: as `sosfilt` and `filtfilt`; or padlen is None where the sections are
            traced, so that their zeros cannot be counted.

    Reference: `scipy.signal.sosfiltfilt`, which has no "gust"; else as `filtfilt`.

    >>> half = [[0.5, 0.5, 0.0, 1.0, 0.0, 0.0]]
    >>> sosfiltfilt(half, jnp.arange(8.0)).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    sos = sections(sos)
    x, axis = signal(x, axis)
    default = None
    if not isinstance(sos, jax.core.Tracer):
        default = 3 * (2 * len(sos) + 1 - int(np.min(np.sum(np.asarray(sos)[:, [2, 5]] == 0, 0))))
    edge = _edge(x.shape[axis], padtype, padlen, method, irlen, default)
    if method == "pad":
        check_settles("sos", sos[:, 3:])
    dtype = common_dtype(sos, x)
    return _sosfiltfilt(sos.astype(dtype), x.astype(dtype), axis, padtype, edge, irlen, form)


def _edge(samples, padtype, padlen, method, irlen, default):
    """Samples of padding at each end; None for Gustafsson's method."""
    if padtype not in (*PADDINGS, None):
        raise ValueError(
            f"padtype: must be 'even', 'odd', 'constant', or None, Unknown value {padtype!r}"
        )
    if method not in METHODS:
        raise ValueError(f"method: must be 'pad' or 'gust', got {method!r}")
    if method == "gust":
        if irlen is not None and not (isinstance(irlen, int) and irlen > 0):
            raise ValueError(f"irlen: expected a whole number of samples from 1 on, got {irlen}")
        return None
    edge = 0 if padtype is None else default if padlen is None else padlen
    if edge is None:
        raise ValueError("padlen: expected a number where sos is traced, got None")
    if isinstance(edge, jax.core.Tracer) or int(edge) != edge or edge < 0:
        raise ValueError(f"padlen: expected a whole number of samples from 0 on, got {edge}")
    if samples <= edge:
        raise ValueError(
            "x: The length of the input vector x must be greater than padlen, "
            f"which is {edge}, got {samples}"
        )
    return int(edge)


@partial(jax.jit, static_argnames=("axis", "padtype", "edge", "irlen", "form"))
def _filtfilt(b, a, x, axis, padtype, edge, irlen, form):
    def run(x, z, axis):
        return by_polynomials(b, a, x, jnp.moveaxis(z, 0, axis), axis, form)[0]

    if edge is None:
        return gustafsson(run, max(len(b), len(a)) - 1, x, axis, irlen)
    return _run_padded(run, step_state(b, a), x, axis, padtype, edge)


@partial(jax.jit, static_argnames=("axis", "padtype", "edge", "irlen", "form"))
def _sosfiltfilt(sos, x, axis, padtype, edge, irlen, form):
    def run(x, z, axis):
        z = z.reshape(len(sos), 2, *z.shape[1:])
        return by_sections(sos, x, jnp.moveaxis(z, 1, axis + 1), axis, form)[0]

    if edge is None:
        return gustafsson(run, 2 * len(sos), x, axis, irlen, _idle(sos))
    return _run_padded(run, section_states(sos).reshape(-1), x, axis, padtype, edge)


def _run_padded(run, z, x, axis, padtype, edge):
    """Filter a padded signal forward and backward, each pass settled on its first sample."""
    x = _extend(x, axis, padtype, edge)
    for _ in range(2):
        first = jax.lax.index_in_dim(x, 0, axis, keepdims=False)
        x = jnp.flip(run(x, z.reshape(-1, *[1] * first.ndim) * first[None], axis), axis)
    return jax.lax.slice_in_dim(x, edge, x.shape[axis] - edge, axis=axis)


def _extend(x, axis, padtype, edge):
    if not edge:
        return x
    n = x.shape[axis]

    def piece(start, stop):
        return jax.lax.slice_in_dim(x, start, stop, axis=axis)

    first, last = piece(0, 1), piece(n - 1, n)
    if padtype == "constant":
        before, after = (jnp.repeat(end, edge, axis) for end in (first, last))
    else:
        before = jnp.flip(piece(1, edge + 1), axis)
        after = jnp.flip(piece(n - 1 - edge, n - 1), axis)
    if padtype == "odd":
        before, after = 2 * first - before, 2 * last - after
    return jnp.concatenate([before, x, after], axis)


def _idle(sos):
    """The states (2 S,) that sections of lower order never use."""
    second = (sos[:, 2] != 0) | (sos[:, 5] != 0)
    first = second | (sos[:, 1] != 0) | (sos[:, 4] != 0)
    return ~jnp.stack([first, second], axis=1).reshape(-1)
