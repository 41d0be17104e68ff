"""Second-order sections: scipy's numbers in every form, exact derivatives, named mistakes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.iir import sos_stepper, sosfilt
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.iir.random_filters import CLOSE, error, noise, sections

FORMS = ("scan", "block", "associative")
# (sections, shape, axis, form, dtype, whether zi is given): few, as each compiles; 45 and
# 37 samples leave a part of a block.
CASES = [
    (1, (45,), -1, "block", "float64", False),
    (3, (2, 37, 2), 1, "scan", "float64", True),
    (3, (2, 37, 2), -2, "block", "float64", True),
    (2, (40, 3), 0, "associative", "float64", True),
    (2, (45,), 0, "block", "float32", True),
    (1, (3, 45), 1, "scan", "complex64", False),
    (2, (3, 37), 1, "block", "complex128", True),
    (4, (1,), 0, None, "float64", True),
]


@settings(max_examples=60)
@given(st.sampled_from(CASES), st.integers(0, 2**32 - 1))
def test_scipys_numbers(case, seed):
    n, shape, axis, form, dtype, given_state = case
    rng = np.random.default_rng(seed)
    sos, x = sections(rng, n, dtype), noise(rng, shape, dtype)
    if not given_state:
        y = sosfilt(sos, x, axis, form=form)
        assert error(y, scipy.signal.sosfilt(sos, x, axis)) < CLOSE[dtype]
        return
    now = axis % len(shape)
    zi = noise(rng, (n, *shape[:now], 2, *shape[now + 1 :]), dtype)
    ours = sosfilt(sos, x, axis, zi, form=form)
    for got, expected in zip(ours, scipy.signal.sosfilt(sos, x, axis, zi), strict=True):
        assert error(got, expected) < CLOSE[dtype]


@pytest.mark.parametrize(
    ("sos", "x", "result"),
    [
        ("float32", "float64", "float64"),
        ("float32", "float32", "float32"),
        ("float64", "float32", "float64"),
        ("float64", "int32", "float64"),
        ("complex64", "float32", "complex64"),
    ],
)
def test_dtypes_meet_as_in_scipy(sos, x, result):
    c, s = np.array([[1, 1, 0, 1, -0.5, 0]], sos), np.arange(4).astype(x)
    theirs = scipy.signal.sosfilt(c, s)
    assert error(sosfilt(c, s), theirs) < 1e-6
    assert theirs.dtype == result


@pytest.mark.parametrize("form", FORMS)
def test_no_samples_leave_the_state(form):
    zi = np.ones((1, 2, 3))
    y, zf = sosfilt([[1.0, 0, 0, 1, -0.5, 0]], np.zeros((0, 3)), 0, zi, form=form)
    assert y.shape == (0, 3)
    np.testing.assert_array_equal(zf, zi)


def test_the_stepper_is_the_scan_bit_for_bit():
    rng = np.random.default_rng(0)
    sos, x, zi = sections(rng, 2), noise(rng, (40, 3)), noise(rng, (2, 2, 3))
    stepper = sos_stepper(sos, (3,))
    _, y = jax.jit(lambda z, x: rollout(stepper.step, stepper.init(z), x))(zi, x)
    np.testing.assert_array_equal(y, sosfilt(sos, x, 0, zi, form="scan")[0])


# Of a pair of poles at radius 0.9999, driven by noise: sample by sample the error is that
# of scipy; blocks hand their states on in float64, and are then better than that.
@pytest.mark.parametrize(
    ("form", "f64", "f32"),
    [("scan", 1e-12, 5e-4), ("block", 2e-11, 2e-5), ("associative", 5e-11, 2e-5)],
)
def test_poles_near_the_circle_keep_their_state(form, f64, f32):
    r, angle = 0.9999, 0.05
    sos = np.array([[1e-3, 0, 0, 1, -2 * r * np.cos(angle), r * r]])
    x = np.random.default_rng(0).normal(size=100_000)
    y, zf = _longdouble(sos[0].astype(np.float32), x.astype(np.float32))
    for dtype, limit in ((np.float64, f64), (np.float32, f32)):
        single = (v.astype(np.float32).astype(dtype) for v in (sos, x, np.zeros((1, 2))))
        ours, state = map(np.asarray, _filter(form, *single))
        assert np.max(np.abs(ours - y)) < limit * np.max(np.abs(y))
        assert np.max(np.abs(state[0] - zf)) < limit * np.max(np.abs(y))


def _longdouble(row, x):
    b0, b1, b2, _, a1, a2 = row.astype(np.longdouble)
    z0 = z1 = np.longdouble(0)
    y = []
    for sample in x.astype(np.longdouble):
        out = b0 * sample + z0
        z0, z1 = b1 * sample - a1 * out + z1, b2 * sample - a2 * out
        y.append(out)
    return np.array(y).astype(float), np.array([z0, z1]).astype(float)


@pytest.mark.parametrize("form", FORMS)
def test_the_adjoint_is_the_transpose(form):
    """⟨F(x, z), (y, w)⟩ = ⟨(x, z), Fᵀ(y, w)⟩, and Fᵀ is the filter run backward."""
    rng = np.random.default_rng(1)
    sos = sections(rng, 2)
    x, z = noise(rng, (45,)), noise(rng, (2, 2))
    y, w = noise(rng, (45,)), noise(rng, (2, 2))

    @quick
    def both(x, z, y, w):
        out, pull = jax.vjp(partial(_filter, form, sos), x, z)
        return out, pull((y, w))

    (Fx, Fz), (Fty, Ftw) = both(x, z, y, w)
    np.testing.assert_allclose(Fx @ y + np.sum(Fz * w), x @ Fty + np.sum(z * Ftw), rtol=1e-12)
    _, (backward, _) = both(x, z, y, 0 * w)
    np.testing.assert_allclose(backward, scipy.signal.sosfilt(sos, y[::-1])[::-1], rtol=1e-9)


def _filter(form, sos, x, zi):
    return sosfilt(sos, x, zi=zi, form=form)


# Poles near the circle, and twice the same.
POLES = [
    [1, 0.3, 0.1, 1, -2 * 0.999 * np.cos(0.3), 0.999**2],
    [1, 0.5, 0.2, 1, -1.6, 0.64],
    [1, -0.5, 0.0, 1, -1.6, 0.64],
]


@pytest.mark.parametrize("form", FORMS)
def test_gradients(form):
    rng = np.random.default_rng(2)
    free = np.array([[1.0, 1, 1, 0, 1, 1]])  # a₀ stays 1

    def loss(at):
        sos = jnp.asarray(POLES) + at["sos"] * free
        y, zf = sosfilt(sos, at["x"], zi=at["zi"], form=form)
        return jnp.mean(jnp.sin(y / 10)) + jnp.sum(zf**2) / 1000

    at = {"sos": np.zeros((3, 6)), "x": noise(rng, (45,)), "zi": noise(rng, (3, 2))}
    check_gradient(loss, at, h=1e-6, rtol=1e-5)


def test_a_batch_of_filters_on_a_batch_of_signals_is_a_loop():
    rng = np.random.default_rng(3)
    sos, x = np.stack([sections(rng, 2) for _ in range(3)]), noise(rng, (3, 45))
    for form in FORMS:
        batch = jax.jit(jax.vmap(partial(sosfilt, form=form)))(sos, x)
        loop = [scipy.signal.sosfilt(s, signal) for s, signal in zip(sos, x, strict=True)]
        assert error(batch, np.stack(loop)) < 1e-10


GOOD = [[1.0, 0, 0, 1, -0.5, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sosfilt(np.zeros((0, 6)), np.ones(4)), r"sos: expected .*\(sections, 6\), got"),
        (lambda: sosfilt(GOOD[0], np.ones(4)), r"sos: expected .*\(sections, 6\), got \(6,\)"),
        (lambda: sosfilt(np.ones((2, 5)), np.ones(4)), r"sos: expected .* got \(2, 5\)"),
        (lambda: sosfilt([[1, 0, 0, 2, 0, 0]], np.ones(4)), "sos.* should be all ones, got"),
        (lambda: sosfilt([[1, 0, 0, 0, 0, 0]], np.ones(4)), "sos.* should be all ones, got"),
        (lambda: sosfilt(GOOD, np.ones(4), zi=np.ones(2)), r"zi: .*\(1, 2\), got \(2,\)"),
        (lambda: sosfilt(GOOD, np.ones(4), axis=1), "axis: expected one of the 1 axes of x"),
        (lambda: sosfilt(GOOD, 1.0), "axis: expected one of the 0 axes of x"),
        (lambda: sosfilt(GOOD, np.ones(4), form="fast"), "form: expected one of"),
        (lambda: sos_stepper(GOOD).init(np.ones(2)), r"zi: expected shape \(1, 2\), got \(2,\)"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([[1, 0, 0, 1, -2.5, 1.0]], "2$"),
        ([GOOD[0], [1, 0, 0, 1, 0, 1.21]], r"-?0\+1\.1j, -?0-1\.1j$"),
        ([[1, 0, 0, 1, -1.5j, 0]], r"0\+1\.5j$"),
    ],
)
def test_poles_outside_the_circle_are_named(rows, named):
    with pytest.warns(UserWarning, match="unstable poles, outside the unit circle: " + named) as w:
        sosfilt(rows, np.ones(4))
    assert w[0].filename == __file__


def test_poles_on_the_circle_are_no_reason_to_warn():
    for a1, a2 in ((-1, 0), (-2, 1), (0, 1), (-2 * np.cos(0.1), 1 + 4e-16)):
        sosfilt([[1, 0, 0, 1, a1, a2]], np.ones(4))
    jax.jit(sosfilt)(np.array([[1, 0, 0, 1, -3.0, 0]]), np.ones(4))  # unknown when traced
