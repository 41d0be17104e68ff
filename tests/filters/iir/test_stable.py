"""Stable whatever the parameters, in exact arithmetic on the coefficients as stored."""

from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from filters.iir.lattice import step_down, step_up
from filters.iir.stable import (
    polar,
    polar_sections,
    reflection,
    triangle,
    triangle_sections,
)

CASCADE = scipy.signal.cheby1(6, 1, 0.3, output="sos")
up, down = jax.jit(step_up), jax.jit(step_down)
REAL_POLES = [[1.0, 0.5, 0.25, 1.0, -1.2, 0.35], [1.0, 0.0, 0.0, 1.0, 0.5, -0.3]]


@pytest.mark.parametrize("build", [polar_sections, triangle_sections])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_section_is_stable_as_it_is_stored(build, dtype):
    any_size = st.floats(width=32, allow_nan=False) | st.floats(-20, 20)
    compiled = jax.jit(build)

    @settings(max_examples=60)
    @given(st.lists(st.tuples(any_size, any_size), min_size=4, max_size=4))
    def check(uv):
        rows = np.concatenate([np.ones((4, 3)), np.array(uv)], axis=1).astype(dtype)
        sos = np.asarray(compiled(rows))
        assert sos.dtype == dtype and np.all(np.isfinite(sos)) and np.all(sos[:, 3] == 1)
        for a1, a2 in sos[:, 4:].tolist():
            assert abs(Fraction(a2)) < 1 and abs(Fraction(a1)) < 1 + Fraction(a2)

    check()


@pytest.mark.parametrize(
    "pair, filter",
    [
        (polar, CASCADE),
        (triangle, CASCADE),
        (triangle, REAL_POLES),
        (reflection, scipy.signal.ellip(5, 1, 40, 0.5)),
        (reflection, ([1.0, 2.0, 3.0, 4.0], [2.0, 0.5])),
        (reflection, ([1.0, 2.0], [2.0])),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_round_trips(pair, filter, dtype):
    if pair is reflection:
        filter = tuple(np.asarray(p, dtype) for p in filter)
        expected = tuple(p / filter[1][0] for p in filter)
    else:
        filter = expected = np.asarray(filter, dtype)
    back, forth = jax.jit(pair.parameters), jax.jit(pair.filter)
    parameters = back(filter)
    tolerance = 1e-11 if dtype is np.float64 else 1e-4

    def close(x, y):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)

    assert all(x.dtype == dtype for x in jax.tree.leaves(parameters))
    jax.tree.map(close, forth(parameters), expected)
    jax.tree.map(close, back(forth(parameters)), parameters)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_reflection_coefficients_place_the_roots_inside(seed):
    k = np.random.default_rng(seed).uniform(-0.95, 0.95, 6)
    a = up(k)
    assert np.abs(np.roots(a)).max() < 1
    np.testing.assert_allclose(down(a), k, rtol=0, atol=1e-7)


def test_reflection_coefficients_tell_an_unstable_polynomial():
    assert np.abs(step_down(np.poly([0.5, 0.9 + 0.1j, 0.9 - 0.1j]).real)).max() < 1
    assert np.abs(step_down(np.poly([0.5, 1.1 + 0.1j, 1.1 - 0.1j]).real)).max() > 1
    a1, a2 = -0.7, 0.2  # of a section they are the coordinates of the triangle
    np.testing.assert_allclose(step_down([1.0, a1, a2]), [a1 / (1 + a2), a2], rtol=1e-14)


def test_gradients_there_and_back():  # forwards, every fit takes them
    p = 0.5 * np.random.default_rng(0).normal(size=(2, 5))
    reflected = (p[0], p[1, :4])

    def around(p, pair):  # there, somewhere else, and back
        filter = jax.tree.map(lambda x: 0.9 * x, pair.filter(p))
        leaves = jax.tree.leaves((filter, pair.parameters(filter)))
        return jnp.concatenate([x.ravel() for x in leaves])

    for pair, at in ((polar, p), (triangle, p), (reflection, reflected)):
        check_grads(jax.jit(partial(around, pair=pair)), (at,), 1, ("rev",), rtol=1e-6)
    grown = jax.vmap(triangle.filter)(jnp.stack([p, 100 * p]))
    assert grown.shape == (2, 2, 6)
    slopes = jax.grad(lambda p: jnp.sum(polar.filter(p)))(jnp.full((1, 5), 1e4))
    assert np.all(np.isfinite(slopes))


def test_mistakes_are_named():
    unstable = [[1.0, 0.0, 0.0, 1.0, -2.1, 1.2]]
    cases = [
        (lambda: triangle.parameters(unstable), "sos: expected poles inside the unit circle, got"),
        (lambda: polar.parameters(unstable), "sos: expected conjugate poles inside the unit"),
        (lambda: polar.parameters(REAL_POLES), "sos: expected conjugate poles inside the unit"),
        (lambda: triangle.filter(np.ones(5)), r"parameters: expected shape \(sections, 5\), got"),
        (lambda: triangle.filter(1j * np.ones((1, 5))), "parameters: expected real numbers"),
        (lambda: reflection.parameters(([1.0], [1.0, 2.0])), "a: expected roots inside the unit"),
        (lambda: reflection.parameters(([1.0], [])), "a: expected a vector of coefficients"),
        (lambda: step_up(0.5), r"k: expected a vector of coefficients, got shape \(\)"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
