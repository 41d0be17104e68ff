"""Parametrisations of filters that are stable for all parameters, to fit and to learn them.

A parametrisation is a pair of functions, from unconstrained numbers to a filter and back.
Each bounded quantity is a tanh or a logistic function of its parameter, kept a few rounding
errors inside the edge of stability, so that sections are stable as stored, in float32 too.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from filters.iir.lattice import real, step_down, step_up, vector


class Parametrisation(NamedTuple):
    """A pair of functions.

    Attributes:
        filter: parameters → sos or (b, a), differentiable, stable for finite parameters.
        parameters: its inverse, for a filter that is stable.
    """

    filter: Callable[[Any], Any]
    parameters: Callable[[Any], Any]


def polar_sections(parameters):
    """Sections from the radius and the angle of a conjugate pair of poles.

        p = r e^{±iθ},   a₁ = −2 r cos θ,   a₂ = r²,   r = σ(u),   θ = π σ(v)

    with σ the logistic function. A section never has two different real poles.

    Args:
        parameters: (S, 5), rows b₀ b₁ b₂ u v.

    Returns:
        sos (S, 6).

    Raises:
        ValueError: the parameters are not (S, 5).

    Reference: J. O. Smith, *Introduction to Digital Filters*, "Two-pole", 2007.

    >>> polar_sections([[1.0, 0.0, 0.0, 0.0, 0.0]]).round(6).tolist()
    [[1.0, 0.0, 0.0, 1.0, -0.0, 0.25]]
    """
    p = _rows("parameters", parameters, 5)
    rim, near = _polar_limits(p.dtype)
    r = jax.nn.sigmoid(p[:, 3]) * (1 - rim)
    angle = near + (np.pi - 2 * near) * jax.nn.sigmoid(p[:, 4])
    return _sections(p, -2 * r * jnp.cos(angle), r * r)


def polar_parameters(sos):
    """The inverse of `polar_sections`.

    Args:
        sos: (S, 6), each section with a conjugate pair of poles inside the unit circle.

    Returns:
        (S, 5), rows b₀ b₁ b₂ u v.

    Raises:
        ValueError: sos is not (S, 6), or a section is unstable or has real poles (checked
            where the numbers are known; `triangle_parameters` takes real poles).

    >>> polar_parameters([[1.0, 0.0, 0.0, 1.0, 0.0, 0.25]]).round(6).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    sos = _normalise_rows(sos)
    a1, a2 = sos[:, 4], sos[:, 5]
    rim, near = _polar_limits(sos.dtype)
    r = jnp.sqrt(a2)
    share = r / (1 - rim)
    turn = (jnp.arccos(-a1 / (2 * r)) - near) / (np.pi - 2 * near)
    inside = (share > 0) & (share < 1) & (turn > 0) & (turn < 1)
    _demand(inside, "sos", "conjugate poles inside the unit circle", sos)
    u, v = jax.scipy.special.logit(share), jax.scipy.special.logit(turn)
    return jnp.stack([*sos[:, :3].T, u, v], axis=1)


def _polar_limits(dtype):
    """The closest that r may come to 1, and θ to 0 and π, so that rounding a₁ and a₂ keeps
    1 ± a₁ + a₂ = (1 − r)² + 2 r (1 ± cos θ) above 0."""
    eps = float(jnp.finfo(dtype).eps)
    return 8 * eps, 8 * eps**0.5


def triangle_sections(parameters):
    """Sections from a point in the stability triangle: every stable section is one.

        a₂ = tanh v,   a₁ = (1 + a₂) tanh u

    Args:
        parameters: (S, 5), rows b₀ b₁ b₂ u v.

    Returns:
        sos (S, 6).

    Raises:
        ValueError: the parameters are not (S, 5).

    Reference: E. I. Jury, *Theory and Application of the z-Transform Method*, Wiley 1964;
    a₂ and a₁/(1 + a₂) are the section's reflection coefficients.

    >>> triangle_sections([[1.0, 0.0, 0.0, 0.0, 0.0]]).tolist()
    [[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]
    """
    p = _rows("parameters", parameters, 5)
    a2 = _to_bounded(p[:, 4])
    return _sections(p, (1 + a2) * _to_bounded(p[:, 3]), a2)


def triangle_parameters(sos):
    """The inverse of `triangle_sections`.

    Args:
        sos: (S, 6), each section with its poles inside the unit circle.

    Returns:
        (S, 5), rows b₀ b₁ b₂ u v.

    Raises:
        ValueError: sos is not (S, 6), or a section is unstable (checked where the numbers
            are known).

    >>> triangle_parameters([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    sos = _normalise_rows(sos)
    a1, a2 = sos[:, 4], sos[:, 5]
    k = jnp.stack([a1 / (1 + a2), a2], axis=1)
    _demand(_inside(k), "sos", "poles inside the unit circle", sos)
    return jnp.concatenate([sos[:, :3], _to_unbounded(k)], axis=1)


def reflection_polynomials(parameters):
    """A transfer function of any order from reflection coefficients kₘ = tanh uₘ.

    The polynomial is stable. At high order rounding of the coefficients may move poles that
    are close together, as for every polynomial: prefer sections there.

    Args:
        parameters: (b, u), numerator (M,) and parameters (N,).

    Returns:
        (b, a), with a (N + 1,) from `step_up`.

    Raises:
        ValueError: u or b is no vector.

    Reference: as `step_up`.

    >>> b, a = reflection_polynomials(([1.0], [0.0, 0.0]))
    >>> a.tolist()
    [1.0, 0.0, 0.0]
    """
    b, u = parameters
    return vector("b", b), step_up(_to_bounded(vector("u", u)))


def reflection_parameters(filter):
    """The inverse of `reflection_polynomials`.

    Args:
        filter: (b, a), real.

    Returns:
        (b / a₀, u).

    Raises:
        ValueError: it is no pair, b or a is no vector, or a has a root outside the unit
            circle (checked where its numbers are known).

    >>> b, u = reflection_parameters(([1.0], [1.0, 0.0, 0.0]))
    >>> u.tolist()
    [0.0, 0.0]
    """
    if not isinstance(filter, tuple | list) or len(filter) != 2:
        raise ValueError(f"filter: expected a pair (b, a), got {type(filter).__name__}")
    b, a = vector("b", filter[0]), vector("a", filter[1])
    k = step_down(a)
    _demand(_inside(k), "a", "roots inside the unit circle", a)
    return b / a[0].astype(b.dtype), _to_unbounded(k)


polar = Parametrisation(polar_sections, polar_parameters)
triangle = Parametrisation(triangle_sections, triangle_parameters)
reflection = Parametrisation(reflection_polynomials, reflection_parameters)


def _edge(dtype):
    return 1 - 8 * float(jnp.finfo(dtype).eps)


def _to_bounded(u):
    return jnp.tanh(u) * _edge(u.dtype)


def _to_unbounded(k):
    return jnp.arctanh(k / _edge(k.dtype))


def _inside(k):
    return jnp.abs(k) < _edge(k.dtype)


def _sections(p, a1, a2):
    return jnp.stack([p[:, 0], p[:, 1], p[:, 2], jnp.ones_like(a1), a1, a2], axis=1)


def _normalise_rows(sos):
    """Rows divided by their a₀."""
    sos = _rows("sos", sos, 6)
    return sos / sos[:, 3:4]


def _rows(name, x, n):
    x = jnp.asarray(x)
    if x.ndim != 2 or len(x) == 0 or x.shape[1] != n:
        raise ValueError(f"{name}: expected shape (sections, {n}), got {x.shape}")
    return real(name, x)


def _demand(holds, name, expected, got):
    """Raise ValueError unless the condition holds; where it is traced, give NaN instead."""
    if not isinstance(holds, jax.core.Tracer) and not np.all(holds):
        raise ValueError(f"{name}: expected {expected}, got {np.asarray(got).tolist()}")
