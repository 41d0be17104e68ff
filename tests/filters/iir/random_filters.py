"""Random stable filters, and the signals to run them on."""

import numpy as np


def poles(rng, n, radius=0.95, complex_=False):
    """n poles, in conjugate pairs unless complex, of modulus below the radius."""
    p = radius * np.sqrt(rng.uniform(size=n)) * np.exp(1j * np.pi * rng.uniform(-1, 1, size=n))
    if complex_:
        return p
    pairs = n // 2
    real = np.abs(p[2 * pairs :])
    return np.concatenate([p[:pairs], p[:pairs].conj(), real])


def sections(rng, n, dtype=np.float64, radius=0.95):
    """(n, 6) sections with poles below the radius."""
    complex_ = np.issubdtype(dtype, np.complexfloating)
    rows = []
    for _ in range(n):
        a = np.poly(poles(rng, 2, radius, complex_))
        rows.append([*noise(rng, (3,), dtype), *a])
    return np.array(rows).astype(dtype)


def polynomials(rng, m, n, dtype=np.float64, radius=0.9):
    """Numerator (m,) and denominator (n,), a₀ not 1, with poles below the radius."""
    complex_ = np.issubdtype(dtype, np.complexfloating)
    a = 1.5 * np.poly(poles(rng, n - 1, radius, complex_))
    return noise(rng, (m,), dtype), np.atleast_1d(a).astype(dtype)


def noise(rng, shape, dtype=np.float64):
    x = rng.normal(size=shape)
    if np.issubdtype(dtype, np.complexfloating):
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def error(ours, theirs):
    """The largest difference relative to the largest value; shapes and dtypes must agree."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    return np.max(np.abs(np.asarray(ours) - theirs), initial=0) / max(
        np.max(np.abs(theirs), initial=0), np.finfo(theirs.dtype).tiny
    )


# What a tolerance is for each dtype, relative to the largest value.
CLOSE = {"float32": 2e-4, "float64": 1e-10, "complex64": 2e-4, "complex128": 1e-10}
