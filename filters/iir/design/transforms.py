"""From the low-pass prototype to other bands, and from the s plane to the z plane."""

import math

import numpy as np

from filters.iir.convert import normalize_for_caller
from filters.iir.numeric import arithmetic, is_traced, sampling_frequency


def lp2lp_zpk(z, p, k, wo=1.0):
    """Low-pass to low-pass: s → s/ω₀.

    Args:
        z, p, k: zeros (n,), poles (m,), gain of the prototype.
        wo: the new edge; differentiable, as the rest.

    Returns:
        z, p, k of the filter with its edge at ω₀.

    Raises:
        ValueError: there are more zeros than poles.

    Reference: `scipy.signal.lp2lp_zpk`.

    >>> z, p, k = lp2lp_zpk([], [-1.0], 1.0, wo=2.0)
    >>> p.tolist(), float(k)
    ([-2.0], 2.0)
    """
    ar, z, p, (k, wo) = _as_arrays(z, p, k, wo)
    return ar.times(wo, z), ar.times(wo, p), k * wo ** relative_degree(z, p)


def lp2hp_zpk(z, p, k, wo=1.0):
    """Low-pass to high-pass: s → ω₀/s.

    Args, errors as `lp2lp_zpk`.

    Returns:
        z (m,), p (m,), k: the zeros at infinity came to 0.

    Reference: `scipy.signal.lp2hp_zpk`.

    >>> z, p, k = lp2hp_zpk([], [-1.0], 1.0, wo=2.0)
    >>> z.real.tolist(), p.real.tolist(), float(k)
    ([0.0], [-2.0], 1.0)
    """
    ar, z, p, (k, wo) = _as_arrays(z, p, k, wo)
    zeros = ar.xp.zeros(relative_degree(z, p), z.dtype)
    z_hp, p_hp = (ar.xp.asarray(wo, r.dtype) / r for r in (z, p))
    return ar.xp.concatenate([z_hp, zeros]), p_hp, k * _gain(ar, -z, -p)


def lp2bp_zpk(z, p, k, wo=1.0, bw=1.0):
    """Low-pass to band-pass: s → (s² + ω₀²)/(B s).

    Args:
        z, p, k: zeros (n,), poles (m,), gain of the prototype.
        wo, bw: the centre ω₀ and the width B of the band; differentiable.

    Returns:
        z (n + m,), p (2m,), k.

    Raises:
        ValueError: there are more zeros than poles.

    Reference: `scipy.signal.lp2bp_zpk`.

    >>> z, p, k = lp2bp_zpk([], [-1.0], 1.0, wo=5.0, bw=6.0)
    >>> np.sort_complex(p).tolist(), float(k)
    ([(-3-4j), (-3+4j)], 6.0)
    """
    ar, z, p, (k, wo, bw) = _as_arrays(z, p, k, wo, bw)
    degree = relative_degree(z, p)
    # Written as in scipy: the sign of a zero decides which of two solutions is first.
    z, p = (ar.times(bw, ar.complex(r)) / ar.complex(2.0) for r in (z, p))
    zeros = ar.xp.zeros(degree, ar.complex_dtype)
    return (
        ar.xp.concatenate([_split_roots(ar, z, wo), zeros]),
        _split_roots(ar, p, wo),
        k * bw**degree,
    )


def lp2bs_zpk(z, p, k, wo=1.0, bw=1.0):
    """Low-pass to band-stop: s → B s/(s² + ω₀²).

    Args, errors as `lp2bp_zpk`.

    Returns:
        z (2m,), p (2m,), k: the zeros at infinity came to ±iω₀.

    Reference: `scipy.signal.lp2bs_zpk`.

    >>> z, p, k = lp2bs_zpk([], [-1.0], 1.0, wo=5.0, bw=6.0)
    >>> z.tolist(), np.sort_complex(p).tolist(), float(k)
    ([5j, -5j], [(-3-4j), (-3+4j)], 1.0)
    """
    ar, z, p, (k, wo, bw) = _as_arrays(z, p, k, wo, bw)
    degree = relative_degree(z, p)
    if ar.xp.iscomplexobj(z) or ar.xp.iscomplexobj(p):
        z, p = ar.complex(z), ar.complex(p)
    z_hp, p_hp = (ar.complex(ar.xp.asarray(bw / 2, r.dtype) / r) for r in (z, p))
    centre = ar.xp.zeros(degree, ar.real_dtype) + wo
    zero = ar.xp.zeros_like(centre)
    z_bs = [_split_roots(ar, z_hp, wo), ar.rect(zero, centre), ar.rect(zero, -centre)]
    return ar.xp.concatenate(z_bs), _split_roots(ar, p_hp, wo), k * _gain(ar, -z, -p)


def bilinear_zpk(z, p, k, fs):
    """Analog to digital by the trapezoidal rule: s = 2fs (z − 1)/(z + 1).

    Args:
        z, p, k: zeros (n,), poles (m,), gain of the analog filter.
        fs: sampling frequency; differentiable, as the rest.

    Returns:
        z (m,), p (m,), k: the zeros at infinity came to −1.

    Raises:
        ValueError: there are more zeros than poles, or fs is not one number.

    Reference: `scipy.signal.bilinear_zpk`.

    >>> z, p, k = bilinear_zpk([], [-1.0], 1.0, fs=1.0)
    >>> z.real.tolist(), p.real.round(4).tolist(), round(float(k), 4)
    ([-1.0], [0.3333], 0.3333)
    """
    fs = sampling_frequency(fs, allow_none=False)
    ar, z, p, (k, fs) = _as_arrays(z, p, k, fs)
    degree = relative_degree(z, p)
    z_2, p_2 = (ar.xp.asarray(2 * fs, r.dtype) for r in (z, p))
    zeros = -ar.xp.ones(degree, z.dtype)
    z_z = ar.xp.concatenate([(z_2 + z) / (z_2 - z), zeros])
    return z_z, (p_2 + p) / (p_2 - p), k * _gain(ar, z_2 - z, p_2 - p)


def bilinear(b, a, fs=1.0):
    """Analog to digital, of polynomials: s = 2fs (z − 1)/(z + 1).

        Σ c_q s^q → Σ c_q (2fs)^q (z − 1)^q (z + 1)^(n−q)

    Args:
        b, a: (n+1,), (m+1,) coefficients in s, highest power first.
        fs: sampling frequency.

    Returns:
        b, a in z, normalised.

    Raises:
        ValueError: b or a is not one polynomial, or fs is not one number.

    Warns:
        BadCoefficients: as `filters.iir.convert.normalize`.

    Reference: `scipy.signal.bilinear`.

    >>> b, a = bilinear([1.0], [1.0, 1.0], fs=1.0)
    >>> b.round(4).tolist(), a.round(4).tolist()
    ([0.3333, 0.3333], [1.0, -0.3333])
    """
    for name, c in (("a", a), ("b", b)):
        if np.ndim(c) > 1:
            raise ValueError(f"{name}: Parameter {name} is not a 1d array, got {np.shape(c)}")
    fs = sampling_frequency(fs, allow_none=False)
    ar = arithmetic(b, a, fs)
    b, a = (c if is_traced(c) else np.trim_zeros(np.atleast_1d(c), "f") for c in (b, a))
    b, a = (ar.inexact(c) for c in (b, a))
    fs = ar.real(fs)
    n = max(len(b), len(a)) - 1

    def map_polynomial(c):
        # √(2fs) to either side: large powers of fs would overflow.
        scale = ar.xp.sqrt(2 * fs) ** ar.real(2 * np.arange(len(c)) - n)
        matrix = _bilinear_matrix(n)[: len(c)]
        return (c[::-1] * scale.astype(c.dtype)) @ ar.xp.asarray(matrix, c.dtype)

    return normalize_for_caller(map_polynomial(b), map_polynomial(a))


def _bilinear_matrix(n):
    """(n+1, n+1), row q the coefficients of (z − 1)^q (z + 1)^(n−q)."""
    rows = np.zeros((n + 1, n + 1))
    for q in range(n + 1):
        minus = [(-1) ** i * math.comb(q, i) for i in range(q + 1)]
        rows[q] = np.convolve(minus, [math.comb(n - q, i) for i in range(n - q + 1)])
    return rows


def relative_degree(z, p):
    """How many more poles than zeros."""
    if len(p) < len(z):
        raise ValueError(
            "z: Improper transfer function. Must have at least as many poles as zeros, "
            f"got {len(z)} zeros and {len(p)} poles"
        )
    return len(p) - len(z)


def _as_arrays(z, p, *scalars):
    ar = arithmetic(z, p, scalars)
    z, p = ar.inexact(z).reshape(-1), ar.inexact(p).reshape(-1)
    return ar, z, p, [ar.real(x) for x in scalars]


def _gain(ar, numerators, denominators):
    """The real part of the one product over the other."""
    return (ar.complex(ar.xp.prod(numerators)) / ar.complex(ar.xp.prod(denominators))).real


def _split_roots(ar, r, wo):
    """The two solutions s of s² − 2rs + ω₀² = 0, for each r."""
    root = ar.xp.sqrt(r * r - ar.complex(wo * wo))
    return ar.xp.concatenate([r + root, r - root])
