"""Transfer functions: scipy's numbers in every form, exact derivatives, named mistakes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.iir import direct_stepper, lfilter
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.iir.random_filters import CLOSE, error, noise, polynomials

FORMS = ("scan", "block", "associative")
# (len b, len a, shape, axis, form, dtype, whether zi is given): few, as each compiles. A
# finite response takes form None and its own way.
CASES = [
    (3, 5, (45,), -1, "block", "float64", True),
    (5, 2, (2, 37, 2), 1, "scan", "float64", True),
    (1, 4, (40, 3), 0, "associative", "float64", False),
    (3, 3, (37,), 0, "block", "complex128", True),
    (2, 3, (40, 2), 0, "scan", "float32", True),
    (4, 1, (2, 70), 1, None, "float64", True),
    (40, 1, (37,), 0, None, "complex64", True),
    (1, 1, (5,), 0, "block", "float64", False),
]


@settings(max_examples=60)
@given(st.sampled_from(CASES), st.integers(0, 2**32 - 1))
def test_scipys_numbers(case, seed):
    m, n, shape, axis, form, dtype, given_state = case
    rng = np.random.default_rng(seed)
    b, a = polynomials(rng, m, n, dtype)
    x = noise(rng, shape, dtype)
    if not given_state:
        y = lfilter(b, a, x, axis, form=form)
        assert error(y, scipy.signal.lfilter(b, a, x, axis)) < CLOSE[dtype]
        return
    now = axis % len(shape)
    zi = noise(rng, (*shape[:now], max(m, n) - 1, *shape[now + 1 :]), dtype)
    ours = lfilter(b, a, x, axis, zi, form=form)
    for got, expected in zip(ours, scipy.signal.lfilter(b, a, x, axis, zi), strict=True):
        assert error(got, expected) < CLOSE[dtype]


def test_one_state_starts_every_channel():
    b, a = [1.0, 0.5], [1.0, -0.5, 0.2]
    x, zi = noise(np.random.default_rng(0), (3, 20)), np.array([[1.0, 2.0]])
    for got, expected in zip(
        lfilter(b, a, x, zi=zi), scipy.signal.lfilter(b, a, x, zi=zi), strict=True
    ):
        assert error(got, expected) < 1e-12


def test_the_stepper_is_the_scan():
    rng = np.random.default_rng(0)
    b, a = polynomials(rng, 3, 4)
    x, zi = noise(rng, (40, 3)), noise(rng, (3, 3))
    stepper = direct_stepper(b, a, (3,))
    _, y = jax.jit(lambda z, x: rollout(stepper.step, stepper.init(z), x))(zi, x)
    expected = lfilter(b, a, x, 0, zi, form="scan")[0]
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("m", "n", "form"), [(2, 3, "scan"), (2, 3, "block"), (4, 1, None)])
def test_adjoint_and_gradients(m, n, form):
    """⟨F(x, z), (y, w)⟩ = ⟨(x, z), Fᵀ(y, w)⟩; b, a, x and zi against differences."""
    rng = np.random.default_rng(1)
    b, a = polynomials(rng, m, n)
    at = {"b": b, "a": a, "x": noise(rng, (45,)), "zi": noise(rng, (max(m, n) - 1,))}
    y, w = noise(rng, (45,)), noise(rng, (max(m, n) - 1,))

    def run(x, z):
        return lfilter(b, a, x, zi=z, form=form)

    @quick
    def both(x, z):
        out, pull = jax.vjp(run, x, z)
        return out, pull((y, w))

    (Fx, Fz), (Fty, Ftw) = both(at["x"], at["zi"])
    np.testing.assert_allclose(Fx @ y + Fz @ w, at["x"] @ Fty + at["zi"] @ Ftw, rtol=1e-11)

    def loss(at):
        out, zf = lfilter(at["b"], at["a"], at["x"], zi=at["zi"], form=form)
        return jnp.mean(jnp.sin(out)) + jnp.sum(zf**2)

    check_gradient(loss, at, h=1e-6, rtol=1e-5)


def test_a_batch_of_filters_on_a_batch_of_signals_is_a_loop():
    rng = np.random.default_rng(3)
    b, a = (np.stack(p) for p in zip(*(polynomials(rng, 2, 3) for _ in range(3)), strict=True))
    x = noise(rng, (3, 45))
    loop = np.stack([scipy.signal.lfilter(*args) for args in zip(b, a, x, strict=True)])
    for form in ("scan", "block"):
        assert error(jax.jit(jax.vmap(partial(lfilter, form=form)))(b, a, x), loop) < 1e-10


ONES = np.ones(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lfilter([1.0], [0.0, 1.0], ONES), "a: expected a first coefficient other than 0"),
        (lambda: lfilter([], [1.0], ONES), r"b: expected a vector of coefficients, got shape \(0"),
        (lambda: lfilter([1.0], np.eye(2), ONES), "a: expected a vector of coefficients"),
        (lambda: lfilter([1.0], [1, 0.5], ONES, zi=ONES), r"zi: expected shape \(1,\), got \(4,\)"),
        (lambda: lfilter([1, 1], [1], ONES[None], zi=[1.0]), r"zi: expected shape \(1, 1\), got"),
        (lambda: lfilter([1.0], [1, 0.5], ONES, axis=-2), "axis: expected one of the 1 axes"),
        (lambda: direct_stepper([1.0], [1, 0.5]).init(ONES), r"zi: expected shape \(1,\), got"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("x", [[1.0, None], np.ones(3, np.longdouble)])
def test_what_are_no_numbers_of_jax_is_named(x):
    with pytest.raises(TypeError, match="expected numbers of at most 64 bits"):
        lfilter([1.0], [1.0], x)


@pytest.mark.parametrize(
    ("a", "named"),
    [
        ([2.0, -3.0], "1.5$"),
        (np.poly([0.9, -1.25, 0.2, 0.3]), "-1.25$"),
        (np.poly([0.5j, 0.9, 0.3, -1.25j]), r"-?0-1\.25j$"),
        ([1, 0, 0, 0, 1.1j], "j, .*j, .*j, .*j$"),
    ],
)
def test_poles_outside_the_circle_are_named(a, named):
    with pytest.warns(UserWarning, match="outside the unit circle: .*" + named) as w:
        lfilter([1.0], a, ONES)
    assert w[0].filename == __file__


def test_poles_within_or_on_the_circle_are_no_reason_to_warn():
    rng = np.random.default_rng(0)
    for complex_ in (np.float64, np.complex128):
        for n in (2, 3, 4, 5, 6):
            lfilter([1.0], polynomials(rng, 1, n, complex_, radius=0.99)[1], ONES)
    for a in ([1.0, -1.0], [1.0, 0, 0, -1.0], np.poly([1, 1, 0.5])):
        lfilter([1.0], a, ONES)
