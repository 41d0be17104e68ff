"""`Piece` and `at`: an input during one step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.inputs import (
    Piece,
    at,
    first_order_hold,
    zero_order_hold,
)
from tests.sim.sampled_inputs import MAKERS, THETAS, T, random


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
