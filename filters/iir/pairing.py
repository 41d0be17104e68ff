"""Pairing of poles and zeros to second-order sections, and the order of the sections.

The worst pole is the one nearest to the stability boundary. It goes last, with its
conjugate (or the next worst real pole) and the zeros nearest to it; then the next.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from filters.iir.numeric import loop


class Sections(NamedTuple):
    """For each of n sections the indices of two poles and two zeros, and how many are used."""

    poles: Any
    zeros: Any
    n_poles: Any
    n_zeros: Any


class _Roots(NamedTuple):
    value: Any
    real: Any
    upper: Any

    def heads(self, left):
        """The roots that may be chosen next: real ones, and the upper one of a conjugate pair."""
        return left & (self.real | self.upper)


def pair(xp, z, p, n, analog):
    """The n sections of the zeros z and poles p, complex arrays of the namespace xp.

    From the last section to the first, each takes the worst remaining pole and its
    partner, then the nearest zero and its partner. The indices come from comparisons and
    are constant almost everywhere, so the roots gathered by them differentiate.
    """
    if not len(z):  # an argmin needs an entry, even where none is left
        zeros, z_left = _roots(xp, xp.zeros(1, p.dtype)), xp.zeros(1, bool)
        z_order = xp.zeros(1, int)
    else:
        z_order = _canonical(xp, z)
        zeros, z_left = _roots(xp, z[z_order]), xp.ones(len(z), bool)
    p_order = _canonical(xp, p)
    poles, p_left = _roots(xp, p[p_order]), xp.ones(len(p), bool)
    badness = xp.abs(poles.value.real) if analog else xp.abs(1 - xp.abs(poles.value))

    def take(left, key, allowed):
        chosen = xp.argmin(xp.where(left & allowed, key, np.inf))
        return chosen, left & (xp.arange(len(left)) != chosen)

    def partner(roots, left, key, head):
        """The conjugate of a complex root, or the next real root by key for a real one."""
        conjugate = xp.abs(roots.value - xp.conj(roots.value[head]))
        real = roots.real[head]
        allowed = xp.where(real, roots.real, ~roots.real & ~roots.upper)
        return take(left, xp.where(real, key, conjugate), allowed)

    def step(carry, _):
        z_left, p_left = carry
        p1, p_left = take(p_left, badness, poles.heads(p_left))
        real = poles.real[p1]
        alone = real & ~xp.any(p_left & poles.real)
        # A single real zero is for a single real pole, or for the end.
        keep = (xp.sum(z_left & zeros.real) == 1) & xp.any(z_left & zeros.upper)
        kind = xp.where(alone, zeros.real, ~(keep & zeros.real))
        allowed = zeros.heads(z_left) & kind
        p2, after = partner(poles, p_left, badness, p1)
        p_left = xp.where(alone, p_left, after)

        distance = xp.abs(zeros.value - poles.value[p1])
        one = xp.any(allowed)
        z1, after = take(z_left, distance, allowed)
        z_left = xp.where(one, after, z_left)
        z1_real = zeros.real[z1]
        two = one & ~(z1_real & (alone | ~xp.any(z_left & zeros.real)))
        z2, after = partner(zeros, z_left, distance, z1)
        z_left = xp.where(two, after, z_left)

        count = xp.where(one, 1, 0) + xp.where(two, 1, 0)
        chosen = (xp.stack([p1, p2]), xp.stack([z1, z2]), xp.where(alone, 1, 2), count)
        return (z_left, p_left), chosen

    _, sections = loop(xp, step, (z_left, p_left), length=n)
    sections = Sections(*(x[::-1] for x in sections))
    return sections._replace(poles=p_order[sections.poles], zeros=z_order[sections.zeros])


def is_real(xp, roots):
    """Real to rounding."""
    tolerance = 100 * float(jnp.finfo(roots.dtype).eps)
    return xp.abs(roots.imag) <= tolerance * xp.abs(roots)


def conjugates(name, roots):
    """Raise ValueError unless the (concrete) roots are real or come in conjugate pairs."""
    tolerance = 100 * np.finfo(roots.dtype).eps
    complex_ = roots[~is_real(np, roots)]
    upper, lower = complex_[complex_.imag > 0], complex_[complex_.imag < 0]
    matched = len(upper) == len(lower)
    for root in upper if matched else ():
        nearest = np.argmin(np.abs(lower - root.conj()))
        matched &= bool(np.abs(lower[nearest] - root.conj()) <= tolerance * np.abs(root))
        lower = np.delete(lower, nearest)
    if not matched:
        raise ValueError(
            f"{name}: expected real numbers and conjugate pairs; "
            "Array contains complex value with no matching conjugate"
        )


def _roots(xp, value):
    real = is_real(xp, value)
    return _Roots(value, real, ~real & (value.imag > 0))


def _canonical(xp, roots):
    """Complex before real, then by real part, then by imaginary part: it decides ties."""
    roots = roots if xp is np else jax.lax.stop_gradient(roots)
    return xp.lexsort((xp.abs(roots.imag), roots.real, is_real(xp, roots)))
