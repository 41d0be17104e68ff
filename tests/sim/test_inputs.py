import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from integrators import rk4
from sim import repeat, rollout
from sim.inputs import (
    Piece,
    at,
    band_limited,
    cubic,
    first_order_hold,
    sample_interval,
    zero_order_hold,
)

T = 0.3 + 0.1 * np.arange(12)
THETAS = (0.0, 0.21, 1 / 3, 0.5, 0.9, 1.0)
SIMPSON = ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6))
periodic = functools.partial(band_limited, periodic=True)
MAKERS = [zero_order_hold, first_order_hold, cubic, band_limited, periodic]


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def integral(c, x):
    """A step of length 1 that integrates its input by Simpson's rule."""
    c = c + sum(w * at(x, theta) for theta, w in SIMPSON)
    return c, c


# --- Piece and at


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_piece_is_the_polynomial_through_its_nodes(degree):
    polynomial = np.polynomial.Polynomial(random(degree + 1))
    nodes = tuple(np.linspace(0, 1, degree + 1)) if degree else (0.5,)
    piece = Piece(tuple(polynomial(theta) for theta in nodes), nodes)
    traced = jax.jit(lambda p, theta: p(theta))
    for theta in THETAS:
        assert piece(theta) == pytest.approx(polynomial(theta), abs=1e-14)
        assert traced(piece, theta) == pytest.approx(polynomial(theta), abs=1e-14)
    slope = jax.grad(lambda theta: jnp.asarray(piece(theta)))(0.3)
    assert slope == pytest.approx(polynomial.deriv()(0.3), abs=1e-13)


def test_a_node_is_looked_up_without_arithmetic():
    a, b = jnp.array([0.1, 0.2]), jnp.array([jnp.nan, jnp.inf])
    piece = Piece((a, b, b), (0.0, 0.5, 1.0))
    assert piece(0.0) is a and piece(np.float64(1.0)) is b
    restricted = piece.subdivide(2)
    np.testing.assert_array_equal(restricted(0.0)[0], a)
    assert np.isnan(restricted(1.0)[:, 0]).all()
    # Only the value looked up has a gradient, and it is finite.
    grads = jax.grad(lambda p: p.subdivide(2)(0.0)[0].sum())(piece)
    np.testing.assert_array_equal(grads.values, [[1, 1], [0, 0], [0, 0]])


def test_at_evaluates_pieces_and_holds_the_rest():
    raw = jnp.ones(3)
    tree = {"a": (Piece(({"f": 1.0}, {"f": 3.0}), (0.0, 1.0)), raw), "b": None}
    seen = at(tree, 0.5)
    assert seen["a"][0] == {"f": 2.0} and seen["a"][1] is raw and seen["b"] is None
    assert at(None, 0.5) is None


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("make", MAKERS)
def test_values_keep_their_dtype(make, dtype):
    u = random(24).view(np.complex128) if dtype is np.complex64 else random(12)
    u = u.astype(dtype)
    piece, theta = make(T, u), jnp.float64(0.3)
    assert piece(0.3).dtype == piece(theta).dtype == piece.subdivide(3)(0.3).dtype == dtype
    expected = make(T, u.astype(np.promote_types(dtype, np.float64)))(0.3)
    np.testing.assert_allclose(piece(0.3), expected, atol=1e-5)
    np.testing.assert_allclose(piece(theta), expected, atol=1e-5)


def test_whole_numbers_are_held_as_they_are_and_interpolated_as_floats():
    counts = np.array([1, 2, 4])
    assert zero_order_hold([0, 1, 2], counts)(0.5).dtype == np.int64
    np.testing.assert_array_equal(zero_order_hold([0, 1, 2], counts > 1)(1.0), [False, True])
    np.testing.assert_array_equal(first_order_hold([0, 1, 2], counts)(0.5), [1.5, 3.0])


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 9),
    nodes=st.lists(st.integers(0, 20), min_size=1, max_size=5, unique=True),
    seed=st.integers(0, 99),
    theta=st.floats(0, 1),
)
def test_subdividing_is_evaluating_at_the_restricted_fractions(n, nodes, seed, theta):
    nodes = tuple(k / 20 for k in nodes)
    piece = Piece(tuple(random(len(nodes), 2, seed=seed)), nodes)
    parts = piece.subdivide(n)
    assert parts.nodes == nodes
    expected = [np.asarray(piece((j + theta) / n)) for j in range(n)]
    np.testing.assert_allclose(parts(theta), expected, atol=1e-6, rtol=1e-6)


# --- from samples to pieces


@pytest.mark.parametrize(("make", "degree"), [(first_order_hold, 1), (cubic, 3)])
def test_polynomials_of_its_degree_are_reproduced(make, degree):
    polynomial = np.polynomial.Polynomial(random(degree + 1, seed=3))
    piece = make(T, polynomial(T))
    for theta in THETAS:
        np.testing.assert_allclose(piece(theta), polynomial(T[:-1] + 0.1 * theta), rtol=1e-12)


def test_a_jump_belongs_to_the_step_that_begins_there():
    piece = zero_order_hold(T[:3], np.array([0.0, 1.0, 5.0]))
    np.testing.assert_array_equal(piece(0.0), [0, 1])
    np.testing.assert_array_equal(piece(1.0), [0, 1])


@pytest.mark.parametrize("n", [4, 5, 12])
def test_cubic_is_scipys_not_a_knot_spline(n):
    u = random(n, 3)
    piece, spline = cubic(T[:n], u), CubicSpline(T[:n], u)
    for theta in THETAS:
        np.testing.assert_allclose(piece(theta), spline(T[: n - 1] + 0.1 * theta), atol=1e-12)


def tones(t, harmonics, period):
    phases = random(len(harmonics), seed=4)
    angles = 2 * np.pi * np.outer(t, harmonics) / period + phases
    return np.cos(angles).sum(1)


@pytest.mark.parametrize("n", [60, 61])
def test_band_limited_is_exact_on_a_periodic_multisine(n):
    nodes = (0.0, 0.25, 1 / 3, 0.5, 1.0)
    t, harmonics = 0.01 * np.arange(n), [0, 1, 7, 20, 29]
    signal = functools.partial(tones, harmonics=harmonics, period=0.01 * n)
    piece = periodic(t, signal(t), nodes)
    for theta in nodes:
        np.testing.assert_allclose(piece(theta), signal(t[:-1] + 0.01 * theta), atol=1e-10)
    spline = cubic(t, signal(t))
    assert np.abs(spline(0.5) - signal(t[:-1] + 0.005)).max() > 0.1


def test_content_at_half_the_sampling_frequency_is_a_cosine():
    u = (-1.0) ** np.arange(8)
    for signal in (u, 1j * u):
        piece = periodic(np.arange(8.0), signal, (0.0, 0.25, 1.0))
        np.testing.assert_allclose(piece(0.25), np.cos(np.pi / 4) * signal[:-1], atol=1e-14)


def test_band_limited_does_not_ring_at_the_ends_of_a_record():
    t = np.arange(400.0)
    signal = functools.partial(tones, harmonics=[3.3, 17.7, 41.2, 58.9], period=400.0)
    middles = signal(t[:-1] + 0.5)
    errors = {
        name: np.abs(make(t, signal(t))(0.5) - middles)
        for name, make in dict(ours=band_limited, plain=periodic, cubic=cubic).items()
    }
    assert errors["ours"].max() < 0.1 * errors["plain"].max()
    assert errors["ours"][5:-5].max() < 0.02 * errors["plain"][5:-5].max()
    assert errors["ours"][20:-20].max() < 0.1 * errors["cubic"][20:-20].max()
    np.testing.assert_allclose(band_limited(t, 3 * t - 7)(0.5), 3 * (t[:-1] + 0.5) - 7, atol=1e-11)


def inner(a, b):
    return sum(float(jnp.vdot(x, y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


@pytest.mark.parametrize("make", MAKERS)
def test_every_sampled_input_is_linear_differentiable_and_batched(make):
    u = {"force": jnp.asarray(random(12)), "flow": jnp.asarray(random(12, 2, seed=1))}
    v = jax.tree.map(lambda x: jnp.flip(x), u)

    def read(u):
        return make(T, u)(0.5)

    value, moved = jax.jit(lambda u, v: jax.jvp(read, (u,), (v,)))(u, v)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), value, read(u))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), moved, read(v))
    # Reverse mode is the transpose: ⟨w, J v⟩ = ⟨Jᵀ w, v⟩.
    pulled = jax.jit(lambda u, w: jax.vjp(read, u)[1](w)[0])(u, value)
    assert inner(value, moved) == pytest.approx(inner(pulled, v), rel=1e-12)

    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), u, v)
    batched = jax.vmap(read)(both)
    jax.tree.map(
        lambda ab, a, b: np.testing.assert_allclose(ab, jnp.stack([a, b]), atol=1e-13),
        batched,
        read(u),
        read(v),
    )


# --- in a rollout


def test_a_ramp_stays_a_ramp_through_substeps():
    t = np.arange(5.0)
    # A substep has length 1/3, and integral counts it as 1.
    _, ys = rollout(repeat(integral, 3), 0.0, first_order_hold(t, 2 * t + 1))
    np.testing.assert_allclose(ys / 3, t[1:] ** 2 + t[1:], rtol=1e-14)


def test_pieces_in_a_rollout_batch_and_differentiate():
    t = np.arange(9.0)
    coefficients = jnp.array([[0.0, 1.0, -2.0, 0.5], [1.0, 0.0, 0.3, 0.1]])

    @jax.jit
    @jax.vmap
    def area(c):
        u = c[0] + c[1] * t + c[2] * t**2 + c[3] * t**3
        return rollout(integral, 0.0, cubic(t, u))[0]

    moments = np.array([8, 32, 512 / 3, 1024])
    np.testing.assert_allclose(area(coefficients), coefficients @ moments, rtol=1e-12)
    gradient = jax.grad(lambda c: area(c).sum())(coefficients)
    np.testing.assert_allclose(gradient, np.stack([moments, moments]), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("make", MAKERS)
def test_a_driven_run_comes_back_through_the_same_record(make, n):
    t = 0.01 * np.arange(100)
    pieces = make(t, np.sin(4 * np.pi * t))

    def end(dt, y0, t0, xs, **options):
        stepper = rk4(lambda t, y, u: -y + 5 * u * jnp.cos(y), dt / n)
        return rollout(repeat(stepper.step, n), stepper.init(y0, t0), xs, **options)[0].y

    there = end(0.01, 0.4, 0.0, pieces)
    back = end(-0.01, there, t[-1], pieces.backwards(), reverse=True)
    assert float(back) == pytest.approx(0.4, abs=1e-6)
    if make is not zero_order_hold:
        assert abs(float(end(-0.01, there, t[-1], pieces, reverse=True)) - 0.4) > 1e-4


# --- what raises


def test_sample_interval_forgives_printed_times():
    t = np.round(0.0012345 * np.arange(2000), 6)
    assert sample_interval(t) == pytest.approx(0.0012345, rel=1e-6)
    assert sample_interval((1e-3 * np.arange(100_000)).astype(np.float32)) == pytest.approx(1e-3)
    assert sample_interval(jnp.arange(3)) == 1.0


def changed(k, value):
    t = T.copy()
    t[k] = value
    return t


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("t", "message"),
    [
        (
            changed(5, 0.81),
            r"t: expected regular samples, 0.1 s apart, got an interval of "
            r"0.11 s before sample 5",
        ),
        (np.r_[T[:7], T[8:], 1.5], "got an interval of 0.2 s before sample 7"),
        (
            changed(3, 0.2),
            r"t: expected increasing times, got an interval of -0.3 s before "
            "sample 3",
        ),
        (changed(4, np.nan), "t: expected finite times, got nan at sample 4"),
        (T[:1], "t: expected at least 2 samples, got 1"),
        (T.reshape(3, 4), r"t: expected real times of shape \(N,\), got float64\[3, 4\]"),
    ],
)
def test_irregular_times_are_named(make, t, message):
    with pytest.raises(ValueError, match=message):
        make(t, np.ones(len(t)))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("u", "message"),
    [
        ({"f": np.ones(11)}, r"u\['f'\]: expected 12 samples, as many as t has, got 11"),
        (3.0, "u: expected 12 samples, as many as t has, got a scalar"),
        (None, "u: expected an array of 12 samples or a pytree of them, got None"),
    ],
)
def test_samples_that_do_not_match_are_named(make, u, message):
    with pytest.raises(ValueError, match=message):
        make(T, u)


def test_other_mistakes_are_named():
    with pytest.raises(ValueError, match="t: expected at least 4 samples, got 3"):
        cubic(T[:3], np.ones(3))
    for make in (cubic, band_limited):
        with pytest.raises(ValueError, match="u: expected finite samples.*infinity at sample 2"):
            make(T, changed(2, np.nan))
    with pytest.raises(ValueError, match="t: expected concrete times, got a traced array"):
        jax.jit(zero_order_hold)(T, T)
    for nodes in ((0.0, 0.0), (0.0, 1.5), ()):
        with pytest.raises(ValueError, match=r"nodes: expected distinct fractions in \[0, 1\]"):
            band_limited(T, T, nodes)
    with pytest.raises(ValueError, match="values: expected 2, one for each node, got 1"):
        Piece((1.0,), (0.0, 1.0))
    with pytest.raises(ValueError, match="n: expected an integer of at least 1, got 0"):
        Piece((1.0,), (0.0,)).subdivide(0)
