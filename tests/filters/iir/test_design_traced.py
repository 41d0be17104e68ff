"""Designs from traced values: the same numbers under jit, and scipy's slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from filters.iir import design
from tests.filters.derivatives import check_gradient, quick

# name, order, ripples, edges, btype
CASES = [
    ("butter", 5, (), (0.3,), "lowpass"),
    ("butter", 5, (), (0.21, 0.34), "bandpass"),
    ("butter", 3, (), (0.05, 0.93), "bandpass"),  # the real pole splits into two real ones
    ("butter", 2, (), (0.3,), "highpass"),  # zeros in a real dtype
    ("cheby1", 2, (1.2,), (0.21, 0.34), "bandstop"),
    ("cheby2", 3, (40.0,), (0.21, 0.64), "bandpass"),
    ("ellip", 3, (0.7, 50.0), (0.3,), "highpass"),
    ("bessel", 4, (), (0.3,), "lowpass"),
]


def designed(library, case, values, output="sos"):
    name, N, ripples, edges, btype = case
    n = len(ripples)
    Wn = values[n] if len(edges) == 1 else values[n:]
    return getattr(library, name)(N, *values[:n], Wn, btype, output=output)


def differences(f, at, h=1e-6):
    steps = h * np.eye(len(at))
    return np.stack([(f(at + e) - f(at - e)) / (2 * h) for e in steps], -1)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}{c[1]}{c[4]}")
def test_sections_and_slopes_equal_scipys(case):
    at = np.array(case[2] + case[3])

    @quick
    def both(values):
        sos = designed(design, case, values)
        along = jax.jacfwd(lambda v: designed(design, case, v))(values)
        return sos, along

    sos, jacobian = both(jnp.asarray(at))
    np.testing.assert_allclose(sos, designed(scipy.signal, case, at), atol=1e-12)
    expected = differences(lambda v: designed(scipy.signal, case, v), at)
    np.testing.assert_allclose(jacobian, expected, rtol=1e-5, atol=1e-8)


def test_reverse_mode_batches_and_float32_agree():
    case = ("ellip", 2, (0.7, 50.0), (0.31,), "lowpass")
    at = jnp.asarray(case[2] + case[3])

    def f(values):
        return designed(design, case, values)

    check_gradient(lambda v: jnp.sum(jnp.sin(f(v))), at)
    batch = quick(jax.vmap(f))(jnp.stack([at, at * 1.01]))
    np.testing.assert_allclose(batch[1], f(np.asarray(at) * 1.01), atol=1e-12)
    single = quick(f)(at.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, f(np.asarray(at)), atol=3e-6)


@pytest.mark.parametrize("output", ["ba", "zpk"])
def test_other_outputs_differentiate(output):
    case = ("cheby2", 3, (50.0,), (0.34,), "lowpass")
    at = np.array(case[2] + case[3])

    def flat(library, values):
        parts = designed(library, case, values, output)
        xp = np if library is scipy.signal else jnp
        parts = [xp.atleast_1d(x) for x in parts]
        split = [xp.concatenate([x.real, x.imag]) for x in parts]
        return xp.concatenate(split)

    value, jacobian = quick(lambda v: (flat(design, v), jax.jacfwd(lambda v: flat(design, v))(v)))(
        jnp.asarray(at)
    )
    np.testing.assert_allclose(value, flat(scipy.signal, at), atol=1e-12)
    expected = differences(lambda v: flat(scipy.signal, v), at)
    np.testing.assert_allclose(jacobian, expected, rtol=1e-5, atol=1e-8)


def test_notch_comb_and_biquads_differentiate():
    def ours(v):
        w0, Q = v
        rows = [*design.iirnotch(w0, Q), *design.iirpeak(w0, Q), *design.iircomb(0.5, Q)]
        shelf = design.biquad_lowshelf(w0, Q, Q), design.biquad_peaking(w0, Q, Q)
        return jnp.concatenate([*rows, *(s[0] for s in shelf)])

    def theirs(v):
        w0, Q = v
        iir = scipy.signal
        rows = [*iir.iirnotch(w0, Q), *iir.iirpeak(w0, Q), *iir.iircomb(0.5, Q)]
        shelf = design.biquad_lowshelf(w0, Q, Q), design.biquad_peaking(w0, Q, Q)
        return np.concatenate([*rows, *(s[0] for s in shelf)])

    at = np.array([0.3, 4.0])
    value, forward, reverse = quick(lambda v: (ours(v), jax.jacfwd(ours)(v), jax.jacrev(ours)(v)))(
        jnp.asarray(at)
    )
    np.testing.assert_allclose(value, theirs(at), atol=1e-13)
    np.testing.assert_allclose(forward, differences(theirs, at), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9, atol=1e-12)


def test_a_gradient_needs_no_jit():
    def gain(library, Wn):
        return library.butter(3, Wn, fs=100.0)[0][0]

    slope = jax.grad(lambda Wn: gain(design, Wn))(10.0)
    expected = differences(lambda Wn: gain(scipy.signal, Wn[0]), np.array([10.0]))
    np.testing.assert_allclose(slope, expected[0], rtol=1e-6)


def test_static_arguments_may_not_be_traced():
    with pytest.raises(ValueError, match="N: expected a static filter order"):
        jax.jit(lambda N: design.butter(N, 0.2))(4)
    with pytest.raises(ValueError, match="w0: expected static"):
        jax.jit(lambda w0: design.iircomb(w0, 30.0))(0.5)
