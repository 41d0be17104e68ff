"""Filters fitted to a response, or to records of input and output.

Both are nonlinear least squares in the parameters of a stable filter, by the method of
Levenberg and Marquardt with a forward-mode Jacobian: for 5 to 20 parameters it takes tens
of steps where gradient descent takes thousands. `sim.rollout` drives its steps. It finds a
local minimum; where the loss stays high, start from another design of the right kind.
"""

from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial

from filters.iir.arrays import common_dtype
from filters.iir.lfilter import lfilter
from filters.iir.sosfilt import sosfilt
from filters.iir.stable import Parametrisation, reflection, triangle
from sim import rollout
from sim.fit.problem.linearisation import qr_reduce


class Fit(NamedTuple):
    """A fitted filter.

    Attributes:
        filter: sos (S, 6), or (b, a) with the parametrisation `reflection`; stable.
        loss: (steps + 1,), half the weighted sum of squared errors, first at the start;
            it never grows.
    """

    filter: Any
    loss: Any


def fit_response(
    w,
    target,
    start,
    *,
    weights=None,
    fs: float = 2 * np.pi,
    parametrisation: Parametrisation = triangle,
    steps: int = 100,
) -> Fit:
    """The stable filter nearest to a response at given frequencies.

        min ½ Σᵢ vᵢ² |H(ωᵢ) − tᵢ|²   for a complex target,
        min ½ Σᵢ vᵢ² (|H(ωᵢ)| − tᵢ)²   for a real one, a magnitude

    Args:
        w: (N,) frequencies, in the unit of fs.
        target: (N,) complex response, or real magnitude of at least 0.
        start: a number of second-order sections, or a filter to start from: sos (S, 6),
            or (b, a) with `reflection`.
        weights: (N,) v; 1/max(|target|, 10⁻³) counts errors in decibels, down to −60 dB.
            None is 1.
        fs: the sampling frequency; by default w is in radians per sample, as in `freqz`.
        parametrisation: `triangle`, `polar` or `reflection` of `filters.iir.stable`.
        steps: of the minimiser, all of which are taken.

    Returns:
        A `Fit`. From a number of sections several starts are tried and the best fit kept.

    Raises:
        ValueError: w, target and weights differ in shape or are not finite, a magnitude
            is negative, or the start is no stable filter of the parametrisation.

    Reference: D. W. Marquardt, "An algorithm for least-squares estimation of nonlinear
    parameters", SIAM J. 11 (1963).

    >>> w = np.linspace(0, 3, 20)
    >>> fit = fit_response(w, 1 / abs(1 - 0.5 * np.exp(-1j * w)), 1)
    >>> bool(fit.loss[-1] < 1e-12)
    True
    """
    w, target = _finite("w", w, 1), _finite("target", target, 1)
    if np.ndim(fs) or not fs > 0:
        raise ValueError(f"fs: expected a sampling frequency above 0, got {fs!r}")
    if not np.iscomplexobj(target) and np.any(target < 0):
        raise ValueError(f"target: expected a magnitude of at least 0, got {target.min()}")
    if target.shape != w.shape:
        raise ValueError(f"target: expected shape {w.shape}, that of w, got {target.shape}")
    real = np.finfo(common_dtype(w, target)).dtype
    angle = (2 * np.pi / fs * w).astype(real)
    target = target.astype(np.result_type(real, 1j) if np.iscomplexobj(target) else real)
    starts = _starts(start, parametrisation, real)
    residual = Partial(_response_error, angle, target, _weights(weights, w.shape, real))
    return _best(residual, starts, parametrisation, steps)


def fit_records(
    x,
    y,
    start,
    *,
    weights=None,
    parametrisation: Parametrisation = triangle,
    steps: int = 100,
) -> Fit:
    """The stable filter whose output, from rest, is nearest to a recorded one.

        min ½ Σₖ vₖ² (yₖ − (H x)ₖ)²

    The output error: with white noise on y its minimum is the maximum of the likelihood,
    without the bias of the equation error under noise.

    Args:
        x: (…, T), the input of one or more records, from rest.
        y: (…, T), the output; NaN is missing.
        start: as in `fit_response`.
        weights: (…, T) v, or (T,); 0 excludes samples, such as a start not from rest.
        parametrisation, steps: as in `fit_response`.

    Returns:
        A `Fit`, as `fit_response`.

    Raises:
        ValueError: x and y differ in shape, x is not finite, or as `fit_response`.

    Reference: L. Ljung, *System Identification*, 2nd ed., Prentice Hall 1999, chapter 4.

    >>> x = np.random.default_rng(0).normal(size=50)
    >>> y = sosfilt([[1.0, 0.0, 0.0, 1.0, -0.5, 0.0]], x)
    >>> sos, loss = fit_records(x, y, 1)
    >>> bool(loss[-1] < 1e-12), round(float(abs(np.roots(sos[0, 3:])).max()), 4)
    (True, 0.5)
    """
    x, y = _finite("x", x), np.asarray(y)
    if y.shape != x.shape or x.ndim == 0 or np.iscomplexobj(x) or np.iscomplexobj(y):
        raise ValueError(
            f"y: expected a real record like x, {x.dtype}{x.shape}, got {y.dtype}{y.shape}"
        )
    missing = np.isnan(y)
    real = common_dtype(x, y)
    x, y = x.astype(real), _finite("y", np.where(missing, 0, y)).astype(real)
    weights = np.where(missing, 0, _weights(weights, x.shape, real)).astype(real)
    starts = _starts(start, parametrisation, real)
    return _best(Partial(_output_error, x, y, weights), starts, parametrisation, steps)


def _response_error(w, target, weights, filter):
    numerators, denominators = _polynomials(filter)
    h = jnp.prod(_at(w, numerators) / _at(w, denominators), axis=1)
    if jnp.iscomplexobj(target):
        error = h - target
        return jnp.concatenate([weights * error.real, weights * error.imag])
    power = h.real**2 + h.imag**2
    # At a zero on the circle the magnitude has a corner: its slope there is 0, not NaN.
    magnitude = jnp.where(power > 0, jnp.sqrt(jnp.where(power > 0, power, 1)), 0)
    return weights * (magnitude - target)


def _polynomials(filter):
    """The numerators and denominators of sos or of (b, a), one a row."""
    if isinstance(filter, tuple):
        return filter[0][None], filter[1][None]
    return filter[:, :3], filter[:, 3:]


def _at(w, polynomials):
    """(N, S), each polynomial in z⁻¹ = e^{−iω}."""
    angle = w[:, None] * np.arange(polynomials.shape[1]).astype(w.dtype)[None]
    return jax.lax.complex(jnp.cos(angle) @ polynomials.T, -jnp.sin(angle) @ polynomials.T)


def _output_error(x, y, weights, filter):
    out = lfilter(*filter, x) if isinstance(filter, tuple) else sosfilt(filter, x)
    return (weights * (out - y)).ravel()


def _best(residual, starts, parametrisation, steps):
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps: expected an integer of at least 1, got {steps!r}")
    filters, losses = _minimise_all(residual, starts, parametrisation.filter, int(steps))
    last = np.asarray(losses[:, -1])
    if not np.any(np.isfinite(last)):
        raise ValueError("start: expected a filter with a finite error, got one without")
    best = int(np.nanargmin(last))
    return Fit(*jax.tree.map(lambda leaf: leaf[best], (filters, losses)))


@partial(jax.jit, static_argnames=("build", "steps"))
def _minimise_all(residual, starts, build, steps):
    """The fits from all starts side by side."""

    def one(start):
        flat, unravel = ravel_pytree(start)
        parameters, loss = _search(lambda p: residual(build(unravel(p))), flat, steps)
        return build(unravel(parameters)), loss

    return jax.vmap(one)(starts)


def _search(residual, p, steps):
    """The parameters (n,) after all steps, and the loss at the start and after each step."""
    # Imported here, as it loads all of sim.fit, which takes a second.
    from sim.fit.solvers import levenberg_marquardt as lm

    def linearise(p):
        return qr_reduce(residual(p), jax.jacfwd(residual)(p))

    def take_step(search, _):
        new = lm.propose(search)
        search = lm.accept_or_reject(search, new, linearise(new), 0.0)
        return search, search.linearisation.loss

    search = lm.init(p, linearise(p))
    end, after = rollout(take_step, search, length=steps)
    return end.z, jnp.concatenate([search.linearisation.loss[None], after])


def _starts(start, parametrisation, dtype):
    """Parameters to start from, side by side along a first axis."""
    if isinstance(start, int | np.integer) and not isinstance(start, bool):
        if start < 1:
            raise ValueError(f"start: expected at least one section, got {start}")
        places = [(radius, turn) for radius in (0.5, 0.9) for turn in (0.3, 0.7)]
        several = [_spread_starts(int(start), *place) for place in places]
        if parametrisation is reflection:
            several = [tuple(reduce(np.convolve, p) for p in _polynomials(sos)) for sos in several]
    else:
        several = [start]
    try:
        several = [_cast(filter, dtype) for filter in several]
        several = [parametrisation.parameters(filter) for filter in several]
    except (ValueError, TypeError) as error:
        raise ValueError(f"start: {error}") from error
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)


def _cast(filter, dtype):
    """A sos, or a pair (b, a), of numbers that are real."""
    if isinstance(filter, tuple):
        return tuple(np.asarray(p).astype(dtype, casting="same_kind") for p in filter)
    return np.asarray(filter).astype(dtype, casting="same_kind")


def _spread_starts(sections, radius, turn):
    """Pole pairs at one radius, with angles spread over a fraction of the half circle."""
    angle = np.pi * turn * (np.arange(sections) + 0.5) / sections
    one = np.ones(sections)
    a1, a2 = -2 * radius * np.cos(angle), radius**2 * one
    gain = (1 + a1 + a2) / 2
    return np.stack([gain, 0.5 * gain, 0.25 * gain, one, a1, a2], axis=1)


def _finite(name, x, ndim=None):
    x = np.asarray(x)
    if ndim is not None and x.ndim != ndim:
        raise ValueError(f"{name}: expected a vector, got shape {x.shape}")
    if x.size == 0 or not np.issubdtype(x.dtype, np.number) or not np.all(np.isfinite(x)):
        raise ValueError(f"{name}: expected finite numbers, got {x.dtype}{x.shape} with others")
    return x.astype(common_dtype(x))


def _weights(weights, shape, dtype):
    if weights is None:
        return np.ones(shape, dtype)
    weights = _finite("weights", weights)
    if weights.shape not in (shape, shape[-1:]) or np.iscomplexobj(weights):
        raise ValueError(
            f"weights: expected real numbers of shape {shape}, got {weights.dtype}{weights.shape}"
        )
    return np.broadcast_to(weights, shape).astype(dtype)
