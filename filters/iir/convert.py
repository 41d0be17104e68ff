"""Conversions between second-order sections, zeros and poles, and polynomials."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np

from filters.iir.numeric import arithmetic, is_traced
from filters.iir.pairing import conjugates, pair
from filters.iir.roots import quadratic, roots

PAIRINGS = ("nearest", "keep_odd", "minimal")
NEGLIGIBLE = 1e-14  # for a leading coefficient, where the denominator begins with 1
BAD = "Badly conditioned filter coefficients (numerator): the results may be meaningless"


class BadCoefficients(UserWarning):
    """The numerator begins with 0, or nearly: its roots may be meaningless."""


def zpk2sos(z, p, k, pairing=None, *, analog=False):
    """Second-order sections of zeros, poles and a gain.

        k ∏(x − zᵢ) / ∏(x − pᵢ) = ∏ₛ (b₀x² + b₁x + b₂) / (a₀x² + a₁x + a₂),   x = z or s

    The pole nearest to the unit circle (the imaginary axis) goes into the last section,
    with its conjugate and the zeros nearest to it; and so on to the first section, which
    has the gain.

    Args:
        z, p: (n,), (m,) zeros and poles: real, or in conjugate pairs.
        k: the gain.
        pairing: "nearest" or "keep_odd" (a digital filter of odd order gets one more pole
            and zero at 0, in two sections or in one), or "minimal" (none; first-order
            sections begin with 0). By default "nearest"; "minimal" if analog.
        analog: whether x is s.

    Returns:
        (n_sections, 6), rows b₀ b₁ b₂ a₀ a₁ a₂.

    Raises:
        ValueError: an unknown pairing, a complex root without its conjugate, or more
            zeros than poles where "minimal" allows none.

    The sizes are static, the roots may be traced; a root counts as real to 100 ε.

    Reference: `scipy.signal.zpk2sos`.

    >>> zpk2sos([-1, -1], [0.5 + 0.5j, 0.5 - 0.5j], 0.2).tolist()
    [[0.2, 0.4, 0.2, 1.0, -1.0, 0.5]]
    """
    pairing = pairing or ("minimal" if analog else "nearest")
    if pairing not in PAIRINGS:
        raise ValueError(f"pairing: pairing must be one of {list(PAIRINGS)}, got {pairing!r}")
    if analog and pairing != "minimal":
        raise ValueError(f'pairing: for analog pairing must be "minimal", got {pairing!r}')
    ar = arithmetic(z, p, k)
    xp = ar.xp
    z, p = (ar.complex(x).reshape(-1) for x in (z, p))
    if not is_traced(k) and np.any(np.imag(k) != 0):
        raise ValueError(f"k: expected a real gain, k must be real, got {k}")
    k = ar.real(xp.real(xp.asarray(k))).reshape(())
    for name, x in (("z", z), ("p", p)):
        if not is_traced(x):
            conjugates(name, np.asarray(x))

    n_z, n_p = len(z), len(p)
    if not n_z and not n_p:
        gain, one = (2, 5) if analog else (0, 3)
        row = k * ar.real(np.eye(6)[gain]) + ar.real(np.eye(6)[one])
        return row[None]
    if pairing == "minimal":
        if n_p < n_z:
            raise ValueError(f"z: must have len(p)>=len(z), got {n_p} poles and {n_z} zeros")
        n = (n_p + 1) // 2
    else:
        n = (max(n_z, n_p) + 1) // 2
        whole = 2 * n if pairing == "nearest" else max(n_z, n_p)
        z = xp.concatenate([z, xp.zeros(whole - n_z, z.dtype)])
        p = xp.concatenate([p, xp.zeros(whole - n_p, p.dtype)])

    if is_traced(z, p):
        chosen = pair(jnp, jax.lax.stop_gradient(z), jax.lax.stop_gradient(p), n, analog)
    else:
        chosen = pair(np, np.asarray(z), np.asarray(p), n, analog)
    z = z if len(z) else xp.zeros(1, z.dtype)
    b = _sections(ar, z[chosen.zeros], chosen.n_zeros, pairing)
    a = _sections(ar, p[chosen.poles], chosen.n_poles, pairing)
    gain = xp.concatenate([k[None], xp.ones(n - 1, ar.real_dtype)])[:, None]
    return xp.concatenate([b * gain, a], axis=1)


def _sections(ar, pairs, count, pairing):
    """(n, 3) coefficients of (x − r₁)(x − r₂), of x − r₁, or of 1, as many as count."""
    xp = ar.xp
    r1, r2 = pairs[:, 0], pairs[:, 1]
    one, zero = xp.ones(len(pairs), ar.real_dtype), xp.zeros(len(pairs), ar.real_dtype)
    second = xp.stack([one, -(r1 + r2).real, (r1 * r2).real], axis=1)
    shifted = [zero, one, -r1.real] if pairing == "minimal" else [one, -r1.real, zero]
    first = xp.stack(shifted, axis=1)
    constant = xp.stack([zero, zero, one], axis=1)
    count = count[:, None]
    return xp.where(count == 2, second, xp.where(count == 1, first, constant))


def poly(ar, roots):
    """∏(x − rᵢ), highest power first: complex coefficients, one root after another."""
    c = ar.xp.ones(1, ar.complex_dtype)
    zero = ar.xp.zeros(1, ar.complex_dtype)
    for i in range(len(roots)):
        c = ar.xp.concatenate([c, zero]) - roots[i] * ar.xp.concatenate([zero, c])
    return c


def zpk2tf(z, p, k):
    """Polynomials of zeros, poles and a gain.

        b(x) = k ∏(x − zᵢ),   a(x) = ∏(x − pᵢ)

    Args:
        z: (n,) zeros; or (outputs, n), and then k (outputs,) or one number.
        p: (m,) poles.
        k: the gain.

    Returns:
        b (n+1,) or (outputs, n+1), and a (m+1,), highest power first: real where the
        roots come in conjugate pairs. Traced roots are assumed to do so.

    Reference: `scipy.signal.zpk2tf`.

    >>> b, a = zpk2tf([-1.0], [0.5j, -0.5j], 2.0)
    >>> b.tolist(), a.tolist()
    ([2.0, 2.0], [1.0, 0.0, 0.25])
    """
    ar = arithmetic(z, p, k)
    z, p = ar.complex(z), ar.complex(p).reshape(-1)
    k = ar.xp.asarray(k)
    k = ar.complex(k) if ar.xp.iscomplexobj(k) else ar.real(k)
    if z.ndim > 1:
        gains = ar.xp.broadcast_to(k.reshape(-1), (len(z),))
        b = ar.xp.stack([_real_poly(ar, z[i], gains[i]) for i in range(len(z))])
        return b, _real_poly(ar, p, ar.real(1))
    return _real_poly(ar, z.reshape(-1), k.reshape(())), _real_poly(ar, p, ar.real(1))


def _real_poly(ar, roots, gain):
    paired = is_traced(roots) or np.array_equal(np.sort(roots), np.sort(np.conj(roots)))
    c = poly(ar, roots)
    if paired and not ar.xp.iscomplexobj(gain):
        return gain * c.real
    return ar.complex(gain) * c


def normalize(b, a):
    """b/a₀ and a/a₀ without leading zeros, which stay in traced polynomials.

    Args:
        b: (n,) or (outputs, n) numerators, highest power first.
        a: (m,) denominator.

    Returns:
        The two; the denominator begins with 1.

    Raises:
        ValueError: a is not one polynomial, or it is 0.

    Warns:
        BadCoefficients: b begins with a number that is 0 to 1e-14, where a begins with 1.

    Reference: `scipy.signal.normalize`.

    >>> [x.tolist() for x in normalize([2.0], [0.0, 2.0, 1.0])]
    [[1.0], [1.0, 0.5]]
    """
    return normalize_for_caller(b, a)


def normalize_for_caller(b, a):
    """`normalize` for a public function, whose caller gets the warnings."""
    if np.ndim(a) > 1:
        raise ValueError(f"a: Denominator polynomial must be rank-1 array, got {np.shape(a)}")
    if np.ndim(b) > 2:
        raise ValueError(
            f"b: Numerator polynomial must be rank-1 or rank-2 array, got {np.shape(b)}"
        )
    ar = arithmetic(b, a)
    b, a = (ar.inexact(x) for x in (b, a))
    b, a = (x if x.ndim else x.reshape(1) for x in (b, a))
    if not is_traced(a):
        nonzero = np.flatnonzero(np.asarray(a))
        if not len(nonzero):
            raise ValueError("a: Denominator must have at least one nonzero element, got all 0")
        a = a[nonzero[0] :]
    b, a = b / a[0], a / a[0]
    if not is_traced(b):
        large = np.flatnonzero(np.any(np.abs(np.atleast_2d(b)) > NEGLIGIBLE, axis=0))
        small = large[0] if len(large) else b.shape[-1]
        if small:
            warnings.warn(BAD, BadCoefficients, stacklevel=3)
        b = b[..., min(small, b.shape[-1] - 1) :]
    return b, a


def tf2zpk(b, a):
    """Zeros, poles and gain of two polynomials.

        b(x)/a(x) = k ∏(x − zᵢ) / ∏(x − pᵢ)

    Args:
        b, a: (n+1,), (m+1,) coefficients, highest power first. Leading zeros are
            trimmed, except from traced polynomials, which must have none.

    Returns:
        z (n,), p (m,), k: roots of numbers that are all real come in a real dtype; those
        of JAX arrays are complex.

    Warns:
        BadCoefficients: as `normalize`.

    A root differentiates where it is simple: dr = −db(r)/b′(r); in a repeated root the
    derivative is infinite. Traced, the roots are eigenvalues of the companion matrix,
    which JAX has on the CPU.

    Reference: `scipy.signal.tf2zpk`.

    >>> z, p, k = tf2zpk([2.0, 1.0], [1.0, 0.0, 0.25])
    >>> z.tolist(), p.imag.round(6).tolist(), float(k)
    ([-0.5], [0.5, -0.5], 2.0)
    """
    b, a = normalize_for_caller(b, a)
    k = b[0]
    return roots(b / k), roots(a), k


def sos2tf(sos):
    """The product of the sections: b(x) = ∏ bₛ(x), a(x) = ∏ aₛ(x).

    Args:
        sos: (n_sections, 6).

    Returns:
        b and a, (2 n_sections + 1,) each, highest power first.

    Reference: `scipy.signal.sos2tf`.

    >>> b, a = sos2tf([[1.0, 1, 0, 1, -0.5, 0], [1, 1, 0, 1, 0.5, 0]])
    >>> b.tolist(), a.tolist()
    ([1.0, 2.0, 1.0, 0.0, 0.0], [1.0, 0.0, -0.25, 0.0, 0.0])
    """
    ar = arithmetic(sos)
    sos = ar.inexact(sos)
    b = a = ar.xp.ones(1, sos.dtype)
    for s in range(len(sos)):
        b, a = ar.xp.convolve(b, sos[s, :3]), ar.xp.convolve(a, sos[s, 3:])
    return b, a


def tf2sos(b, a, pairing=None, *, analog=False):
    """Second-order sections of b(x)/a(x), by way of the roots: `tf2zpk`, then `zpk2sos`.

    Args and errors as there. A repeated root is accurate to √ε only, and has no
    derivative: design the sections directly instead.

    Reference: `scipy.signal.tf2sos`.

    >>> tf2sos([1.0, 2.0, 1.0], [1.0, -1.0, 0.5]).round(6).tolist()
    [[1.0, 2.0, 1.0, 1.0, -1.0, 0.5]]
    """
    return zpk2sos(*tf2zpk(b, a), pairing=pairing, analog=analog)


def sos2zpk(sos):
    """Zeros, poles and gain of second-order sections, in closed form.

    Args:
        sos: (n_sections, 6).

    Returns:
        z, p (2 n_sections,) complex, section by section, padded with 0 where a section
        has fewer; k.

    Warns:
        BadCoefficients: the numerator of a section begins with a number that is 0 to 1e-14.

    Differentiable where the two roots of a section differ.

    Reference: `scipy.signal.sos2zpk`.

    >>> z, p, k = sos2zpk([[2.0, 4.0, 2.0, 1.0, 0.0, 0.25]])
    >>> z.real.tolist(), p.imag.tolist(), float(k)
    ([-1.0, -1.0], [0.5, -0.5], 2.0)
    """
    ar = arithmetic(sos)
    sos = ar.real(sos)
    z, b = quadratic(ar, sos[:, :3])
    p, a = quadratic(ar, sos[:, 3:])
    if not is_traced(sos) and np.any(np.abs(sos[:, 0]) <= NEGLIGIBLE * np.abs(a)):
        warnings.warn(BAD, BadCoefficients, stacklevel=2)
    return z.reshape(-1), p.reshape(-1), ar.xp.prod(b / a)
