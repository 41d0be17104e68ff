"""Forward and backward: scipy's numbers, Gustafsson's ends for sections too, slopes."""

from decimal import Decimal, localcontext
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.iir.zero_phase import filtfilt, sosfiltfilt
from tests.filters.derivatives import check_gradient
from tests.filters.iir.random_filters import CLOSE, error, noise, polynomials, sections

PADDINGS = ("odd", "even", "constant", None)
# (shape, axis, padtype, padlen, dtype): few, as each compiles.
CASES = [
    ((50,), -1, "odd", None, "float64"),
    ((2, 40, 2), 1, "even", 13, "float64"),
    ((40, 2), 0, "constant", None, "float32"),
    ((3, 40), 1, None, None, "complex128"),
]


@settings(max_examples=40)
@given(st.sampled_from(CASES), st.integers(0, 2**32 - 1))
def test_scipys_numbers(case, seed):
    shape, axis, padtype, padlen, dtype = case
    rng = np.random.default_rng(seed)
    x = noise(rng, shape, dtype)
    sos = sections(rng, 2, dtype, radius=0.8)
    args = (x, axis, padtype, padlen)
    assert error(sosfiltfilt(sos, *args), scipy.signal.sosfiltfilt(sos, *args)) < CLOSE[dtype]
    b, a = polynomials(rng, 3, 4, dtype, radius=0.8)
    assert error(filtfilt(b, a, *args), scipy.signal.filtfilt(b, a, *args)) < CLOSE[dtype]


@pytest.mark.parametrize("padtype", PADDINGS)
def test_the_default_padding_counts_as_scipy_does(padtype):
    x = noise(np.random.default_rng(0), (60,))
    for order in (3, 4):  # of odd order a section has a zero and a pole at 0
        sos = scipy.signal.butter(order, 0.3, output="sos")
        expected = scipy.signal.sosfiltfilt(sos, x, 0, padtype)
        assert error(sosfiltfilt(sos, x, 0, padtype), expected) < 1e-12


DESIGNS = [(4, 0.2), (5, 0.1)]


@pytest.mark.parametrize("irlen", [None, 25])
@pytest.mark.parametrize("design", DESIGNS, ids=["even", "odd"])
def test_gustafssons_ends_are_scipys_also_for_sections(design, irlen):
    """scipy has the method for transfer functions; sections are the same filter."""
    x = noise(np.random.default_rng(0), (2, 60))
    (b, a), sos = scipy.signal.butter(*design), scipy.signal.butter(*design, output="sos")
    expected = scipy.signal.filtfilt(b, a, x, method="gust", irlen=irlen)
    assert error(filtfilt(b, a, x, method="gust", irlen=irlen), expected) < 1e-10
    assert error(sosfiltfilt(sos, x, method="gust", irlen=irlen), expected) < 1e-10


def gustafsson_exactly(b, a, x, digits=80):
    """Gustafsson's least squares in decimals: over the states of the direct form before each
    pass, the squares of forward-backward less backward-forward, by the normal equations."""
    with localcontext(prec=digits):
        n, N = len(b) - 1, len(x)
        b, a, x = ([Decimal(v) for v in c] for c in (b, a, x))

        def run(x, z):
            y, z = [], [*z, Decimal(0)]
            for v in x:
                y.append(b[0] * v + z[0])
                z[:-1] = [z[i + 1] + b[i + 1] * v - a[i + 1] * y[-1] for i in range(n)]
            return y

        def both(x, u, v):
            """Forward-backward, and that less backward-forward."""
            y = run(run(x, u)[::-1], v)[::-1]
            return y, [p - q for p, q in zip(y, run(run(x[::-1], v)[::-1], u), strict=True)]

        def dot(p, q):
            return sum(s * t for s, t in zip(p, q, strict=True))

        rest, silence = [Decimal(0)] * n, [Decimal(0)] * N
        y, d = both(x, rest, rest)
        units = np.eye(2 * n, dtype=int).tolist()
        units = [[Decimal(v) for v in row] for row in units]
        moves, columns = zip(*(both(silence, e[:n], e[n:]) for e in units), strict=True)
        rows = [[dot(p, q) for q in columns] + [-dot(p, d)] for p in columns]
        for i in range(2 * n):  # Gauss and Jordan; positive definite, so no pivots
            rows[i] = [v / rows[i][i] for v in rows[i]]
            for j in range(2 * n):
                if j != i:
                    rows[j] = [p - rows[j][i] * q for p, q in zip(rows[j], rows[i], strict=True)]
        states = [row[-1] for row in rows]
        left = [d[t] + dot(states, [c[t] for c in columns]) for t in range(N)]
        y = [y[t] + dot(states, [c[t] for c in moves]) for t in range(N)]
        assert max(map(abs, left)) < Decimal("1e-50")  # the two orders agree
        return np.array(y, float)


def test_gustafssons_ends_are_right_where_scipys_are_not():
    sos = scipy.signal.butter(6, 0.02, output="sos")
    x = noise(np.random.default_rng(0), (200,))
    with localcontext(prec=80):
        b = a = [Decimal(1)]
        for row in sos:
            row = [Decimal(v) for v in row.tolist()]
            b, a = np.convolve(b, row[:3]), np.convolve(a, row[3:])
    exact = gustafsson_exactly(b, a, x)
    assert error(sosfiltfilt(sos, x, method="gust"), exact) < 1e-11
    b, a = scipy.signal.butter(6, 0.02)
    exact = gustafsson_exactly(b, a, x)  # of the polynomials as they are rounded
    theirs = error(scipy.signal.filtfilt(b, a, x, method="gust"), exact)
    assert theirs > 1e-4 and error(filtfilt(b, a, x, method="gust"), exact) < 2 * theirs


def test_gustafssons_ends_for_complex_sections_are_the_same_both_ways():
    """By definition: the signal turned in time gives the result turned in time."""
    rng = np.random.default_rng(1)
    sos, x = sections(rng, 2, np.complex128), noise(rng, (60, 2), np.complex128)
    y = sosfiltfilt(sos, x, 0, method="gust")
    turned = sosfiltfilt(sos, x[::-1], 0, method="gust")[::-1]
    np.testing.assert_allclose(y, turned, rtol=1e-9, atol=1e-9 * np.max(np.abs(y)))


def test_a_number_is_a_filter():
    x = np.arange(12.0)
    np.testing.assert_allclose(filtfilt(3.0, 2.0, x, method="gust"), 2.25 * x, rtol=1e-15)
    np.testing.assert_allclose(filtfilt(3.0, 2.0, x), 2.25 * x, rtol=1e-15)


@pytest.mark.parametrize("method", ["pad", "gust"])
def test_slopes(method):
    rng = np.random.default_rng(2)
    free = np.array([[1.0, 1, 1, 0, 1, 1]])  # a₀ stays 1
    start = sections(rng, 2, radius=0.7)

    def loss(at):
        sos = jnp.asarray(start) + at["sos"] * free
        return jnp.mean(jnp.sin(sosfiltfilt(sos, at["x"], padlen=6, method=method)))

    check_gradient(loss, {"sos": np.zeros((2, 6)), "x": noise(rng, (40,))}, rtol=1e-5)


def test_a_batch_of_filters_on_a_batch_of_signals_is_a_loop():
    rng = np.random.default_rng(3)
    sos, x = np.stack([sections(rng, 1) for _ in range(3)]), noise(rng, (3, 40))
    batch = jax.jit(jax.vmap(partial(sosfiltfilt, padlen=9)))(sos, x)
    loop = [scipy.signal.sosfiltfilt(s, v, padlen=9) for s, v in zip(sos, x, strict=True)]
    assert error(batch, np.stack(loop)) < 1e-10


B, A, SOS = [1.0, 1.0], [1.0, -0.5], [[1.0, 0.5, 0.2, 1, -0.5, 0.1]]
SHORT = "x: The length of the input vector x must be greater than padlen, which is "


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filtfilt(B, A, np.ones(6)), SHORT + "6, got 6"),
        (lambda: sosfiltfilt(SOS, np.ones((9, 2)), axis=0), SHORT + "9, got 9"),
        (lambda: filtfilt(B, A, np.ones(9), padtype="wrap"), "padtype: must be 'even', 'odd'"),
        (lambda: filtfilt(B, A, np.ones(9), method="both"), "method: must be 'pad' or 'gust'"),
        (lambda: filtfilt(B, A, np.ones(9), padlen=-1), "padlen: expected a whole number"),
        (lambda: filtfilt(B, A, np.ones(9), method="gust", irlen=0), "irlen: expected a whole"),
        (lambda: filtfilt(B, [1.0, -1.0], np.ones(9)), "a: expected no pole at 1"),
        (lambda: filtfilt(B, A, np.ones(9), axis=1), "axis: expected one of the 1 axes"),
        (lambda: jax.jit(sosfiltfilt)(np.array(SOS), np.ones(20)), "padlen: expected a number"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_poles_outside_the_circle_are_named():
    with pytest.warns(UserWarning, match="unstable poles, outside the unit circle: 2$") as w:
        filtfilt(B, [1.0, -2.0], np.ones(9))
    assert w[0].filename == __file__
