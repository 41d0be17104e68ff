"""One filter in three forms: there and back, as scipy, with derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.iir import bilinear
from filters.iir.convert import (
    BadCoefficients,
    normalize,
    sos2tf,
    sos2zpk,
    tf2sos,
    tf2zpk,
    zpk2sos,
    zpk2tf,
)
from tests.filters.derivatives import check_gradient, quick

inside = st.floats(0.05, 0.97)
numbers = st.floats(-0.95, 0.95)
pairs = st.lists(st.tuples(inside, st.floats(0.1, 3.0)), max_size=3)
reals = st.lists(numbers, max_size=3, unique_by=lambda x: round(x, 3))


def roots_of(pairs, reals):
    upper = np.array([r * np.exp(1j * w) for r, w in pairs])
    return np.concatenate([upper, upper.conj(), reals]).astype(complex)


def sorted_roots(r):
    return np.sort_complex(np.asarray(r).round(7))


@settings(max_examples=40)
@given(
    z=st.tuples(pairs, reals),
    p=st.tuples(pairs, reals),
    pairing=st.sampled_from(["nearest", "keep_odd"]),
)
def test_sections_equal_scipys_whatever_is_real(z, p, pairing):
    z, p = roots_of(*z), roots_of(*p)
    sos = zpk2sos(z, p, 0.7, pairing)
    try:
        expected = scipy.signal.zpk2sos(z, p, 0.7, pairing)
    except IndexError:  # scipy gives a lone real zero away, and a pair finds no room
        w, h = scipy.signal.freqz_zpk(z, p, 0.7, 16)
        # Padded at 0, they differ by a power of z.
        np.testing.assert_allclose(abs(scipy.signal.freqz_sos(sos, w)[1]), abs(h), atol=1e-9)
    else:
        assert sos.shape == expected.shape
        np.testing.assert_allclose(sos, expected, atol=1e-12)


def test_traced_roots_are_paired_as_numbers_are():
    z = roots_of([(0.9, 2.0)], [-1.0, -1.0, 0.3])
    p = roots_of([(0.8, 0.4), (0.9, 1.1)], [0.5])
    expected = scipy.signal.zpk2sos(z, p, 0.7)

    def f(x):
        shifted = p * jax.lax.complex(x, 0 * x)  # moves all poles
        return zpk2sos(z, shifted, 0.7 * x)

    sos, slope = quick(lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),)))(jnp.asarray(1.0))
    np.testing.assert_allclose(sos, expected, atol=1e-12)
    h = 1e-6
    after, before = (zpk2sos(z, p * x, 0.7 * x) for x in (1 + h, 1 - h))
    np.testing.assert_allclose(slope, (after - before) / (2 * h), atol=1e-8)


def test_repeated_roots_keep_their_number():
    z, p = [-1.0] * 5, roots_of([(0.9, 0.5), (0.9, 0.5)], [0.2])
    np.testing.assert_allclose(zpk2sos(z, p, 1.0), scipy.signal.zpk2sos(z, p, 1.0), atol=1e-14)
    sos = zpk2sos(z, p, 1.0)
    found = sos2zpk(sos)
    np.testing.assert_allclose(sorted_roots(found[1]), sorted_roots([*p, 0.0]), atol=1e-7)

    def loss(c):  # a double real root in one section: the response still differentiates
        z, p, k = sos2zpk(c)
        return k * jnp.sum(z.real + p.real)

    slope = quick(jax.grad(loss))(jnp.asarray(sos))
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize("analog", [False, True])
def test_the_minimal_pairing_and_empty_filters_equal_scipys(analog):
    for z, p in (
        ([], []),
        ([], [-0.5]),
        ([0.0], [-0.5, -0.2 + 0.3j, -0.2 - 0.3j]),
        ([0.0, 2j, -2j], [-0.5, -0.2 + 0.3j, -0.2 - 0.3j]),
        ([], [-0.1 + 1j, -0.1 - 1j, -0.2 + 0.3j, -0.2 - 0.3j]),
    ):
        ours = zpk2sos(z, p, 2.0, pairing="minimal", analog=analog)
        expected = scipy.signal.zpk2sos(z, p, 2.0, pairing="minimal", analog=analog)
        np.testing.assert_allclose(ours, expected, atol=1e-14)


@settings(max_examples=20)
@given(z=st.tuples(pairs, reals), p=st.tuples(pairs, reals))
def test_polynomials_and_roots_go_there_and_back(z, p):
    z, p = roots_of(*z), roots_of(*p)
    b, a = zpk2tf(z, p, 0.7)
    eb, ea = scipy.signal.zpk2tf(z, p, 0.7)
    np.testing.assert_allclose(b, eb, atol=1e-13)
    np.testing.assert_allclose(a, ea, atol=1e-13)
    sos = zpk2sos(z, p, 0.7)
    expected = scipy.signal.freqz_sos(sos, 9)[1]
    for other in (sos2tf(sos), zpk2tf(*sos2zpk(sos))):
        h = scipy.signal.freqz(*other, 9)[1]
        np.testing.assert_allclose(h, expected, rtol=1e-6, atol=1e-9)


def test_roots_of_polynomials_and_their_slopes():
    b, a = np.array([2.0, 1.0, 0.4]), np.array([1.0, -0.9, 0.6, -0.2])
    for ours, theirs in zip(tf2zpk(b, a), scipy.signal.tf2zpk(b, a), strict=True):
        np.testing.assert_allclose(ours, theirs)
    np.testing.assert_allclose(tf2sos(b, a), scipy.signal.tf2sos(b, a), atol=1e-14)

    def loss(c):
        z, p, k = tf2zpk(c[:3], c[3:])
        return k + jnp.sum(jnp.abs(z - 0.3) ** 3) + jnp.sum(jnp.abs(p + 0.1) ** 3)

    check_gradient(loss, np.concatenate([b, a]))


def test_sections_to_roots_differentiate():
    sos = np.array([[1.0, 0.2, -0.5, 1.0, -0.9, 0.4], [0.0, 2.0, 0.5, 1.0, 0.3, 0.0]])

    def loss(free):
        b, a = jnp.asarray(sos[:, :3]) * free[0], jnp.asarray(sos[:, 3:]) + free[1]
        c = jnp.concatenate([b, a], 1)
        z, p, k = sos2zpk(c)
        return k + jnp.sum(z.real**3) + jnp.sum((z.imag - p.imag) ** 2) + jnp.sum(p.real**2)

    check_gradient(loss, jnp.array([1.1, 0.05]))
    with pytest.warns(BadCoefficients):
        z, p, k = sos2zpk(sos)
    np.testing.assert_allclose(z[2:], [-0.25, 0.0])
    assert k == 2.0
    with pytest.warns(scipy.signal.BadCoefficients):
        np.testing.assert_allclose(
            sorted_roots(p), sorted_roots(scipy.signal.sos2zpk(sos)[1]), atol=1e-7
        )


def test_several_numerators_and_leading_zeros():
    z = np.array([[1.0, 2.0], [0.5, -0.5]])
    b, a = zpk2tf(z, [0.1, 0.2], [2.0, 3.0])
    eb, ea = scipy.signal.zpk2tf(z, [0.1, 0.2], np.array([2.0, 3.0]))
    np.testing.assert_allclose(b, eb)
    np.testing.assert_allclose(a, ea)
    with pytest.warns(BadCoefficients):
        b, a = normalize([0.0, 2.0, 4.0], [0.0, 2.0, 1.0])
    assert b.tolist() == [1.0, 2.0] and a.tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("normalize", lambda f: f([1e-15, 2.0], [0.0, 1.0, 1.0])),
        ("normalize", lambda f: f([[0.0, 1.0], [1e-16, 2.0]], [1.0, 1.0])),
        ("tf2zpk", lambda f: f([1e-15], [1.0, 1.0])),
        ("sos2zpk", lambda f: f(np.array([[1e-15, 2.0, 1.0, 1.0, 0.5, 0.2]]))),
    ],
)
def test_a_numerator_that_begins_with_almost_0_is_warned_of_as_scipy_does(name, call):
    ours = {"normalize": normalize, "tf2zpk": tf2zpk, "sos2zpk": sos2zpk}[name]
    with pytest.warns(scipy.signal.BadCoefficients):
        expected = call(getattr(scipy.signal, name))
    with pytest.warns(BadCoefficients, match="Badly conditioned") as caught:
        found = call(ours)
    assert len(caught) == 1 and caught[0].filename == __file__
    if name != "sos2zpk":  # which has closed forms, and keeps the root far out
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y)


def test_only_numbers_are_warned_of_and_only_where_they_are_bad():
    z, p, k = quick(sos2zpk)(jnp.array([[0.0, 2.0, 1.0, 1.0, 0.5, 0.2]]))
    assert np.all(np.isfinite(z)) and k == 2.0
    b, a = normalize([1e-13, 2.0], [1.0, 1.0])
    assert b.tolist() == [1e-13, 2.0]
    with pytest.warns(BadCoefficients) as caught:
        bilinear([1.0, -1.0], [1.0, 3.0, 2.0], fs=0.5)  # its zero goes to infinity
    assert caught[0].filename == __file__


def test_mistakes_are_named():
    pole = [0.5]
    for match, call in {
        "pairing must be one of": lambda: zpk2sos([], pole, 1.0, "closest"),
        'must be "minimal"': lambda: zpk2sos([], pole, 1.0, "nearest", analog=True),
        r"must have len\(p\)>=len\(z\)": lambda: zpk2sos([1.0, 2.0], pole, 1.0, analog=True),
        "k must be real": lambda: zpk2sos([], pole, 1j),
        "no matching conjugate": lambda: zpk2sos([0.5j, 0.4], [0.1, 0.2], 1.0),
        "at least one nonzero": lambda: tf2zpk([1.0], [0.0, 0.0]),
        "rank-1 array": lambda: normalize([1.0], [[1.0], [2.0]]),
        "rank-1 or rank-2": lambda: normalize([[[1.0]]], [1.0]),
    }.items():
        with pytest.raises(ValueError, match=match):
            call()
