"""Small linear algebra: equal to the library on both sides of the limits, and in the loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from sim import linalg, rollout

SIZES = [1, 4, 8, 9, 13, 17]


def random(n, m, seed=0, dtype=float):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, m)), dtype)


def definite(n, dtype=float):
    a = random(n, n, dtype=dtype)
    return a @ a.T + n * jnp.eye(n, dtype=dtype)


def library(name):
    return {
        "matmul": jnp.matmul,
        "cholesky": jnp.linalg.cholesky,
        "solve_lower": lambda l, b: jax.scipy.linalg.solve_triangular(l, b, lower=True),  # noqa: E741
        "solve_lower_transposed": lambda l, b: jax.scipy.linalg.solve_triangular(  # noqa: E741
            l, b, lower=True, trans="T"
        ),
        "cho_solve": lambda l, b: jax.scipy.linalg.cho_solve((l, True), b),  # noqa: E741
    }[name]


def arguments(name, n, m, dtype=float):
    if name == "cholesky":
        return (definite(n, dtype),)
    first = random(n + 1, n) if name == "matmul" else jnp.linalg.cholesky(definite(n, dtype))
    b = random(n, max(m, 1), seed=1)
    return jnp.asarray(first, dtype), jnp.asarray(b[:, 0] if m == 0 else b, dtype)


CASES = [
    (name, m)
    for name in ("matmul", "solve_lower", "solve_lower_transposed", "cho_solve")
    for m in (0, 3)
] + [("cholesky", 0)]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name, m", CASES)
def test_equals_the_library_with_gradients_in_both_modes(name, m, n):
    args = arguments(name, n, m)
    direction = tuple(jnp.cos(a) for a in args)
    if name == "cholesky":
        direction = (direction[0] + direction[0].T,)
    elif name != "matmul":  # only the lower triangle is read
        direction = (jnp.tril(direction[0]), direction[1])
    shape = jax.eval_shape(library(name), *args).shape
    weights = np.sin(np.arange(np.prod(shape))).reshape(shape)

    @jax.jit
    def results(function):
        def loss(*args):
            return jnp.sum(weights * function(*args))

        gradient = jax.grad(loss, tuple(range(len(args))))(*args)
        tangent = jax.jvp(loss, args, direction)[1]
        along = sum(jnp.sum(g * d) for g, d in zip(gradient, direction, strict=True))
        return function(*args), tangent, along

    value, tangent, along = results(Partial(getattr(linalg, name)))
    expected, expected_tangent, _ = results(Partial(library(name)))
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose([tangent, along], expected_tangent, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name, m", CASES)
def test_float32_and_vmap(name, m):
    ours, theirs, args = getattr(linalg, name), library(name), arguments(name, 4, m, np.float32)
    ours = jax.jit(ours)
    result = ours(*args)
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(result, theirs(*args), rtol=1e-5, atol=1e-5)
    batch = jax.vmap(ours)(*(jnp.stack([a, 2 * a]) for a in args))
    np.testing.assert_allclose(batch[1], theirs(*(2 * a for a in args)), rtol=1e-5, atol=1e-5)


def test_a_scan_of_them_stays_in_the_loop():
    a, p = random(4, 4), definite(4)

    def step(p, x):
        factor = linalg.cholesky(linalg.matmul(linalg.matmul(a, p), a.T) + jnp.eye(4))
        return linalg.cho_solve(factor, p), None

    def text(step):
        run = jax.jit(lambda p: rollout(step, p, length=5)[0])
        return run.lower(p).compile().as_text()

    assert "custom-call" not in text(step)
    assert "custom-call" in text(lambda p, x: (jnp.linalg.cholesky(p), None))


def test_not_positive_definite_is_nan_as_in_the_library():
    assert np.isnan(linalg.cholesky(jnp.array([[1.0, 2.0], [2.0, 1.0]]))[1, 1])


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: linalg.matmul(jnp.ones(2), jnp.ones(2)),
            r"a: expected a matrix, got shape \(2,\)",
        ),
        (lambda: linalg.matmul(jnp.ones((2, 3)), jnp.ones(2)), r"b: expected \(3,\) or \(3, m\)"),
        (
            lambda: linalg.cholesky(jnp.ones((2, 3))),
            r"p: expected a square matrix, got shape \(2, 3\)",
        ),
        (lambda: linalg.solve_lower(jnp.ones((2, 3)), jnp.ones(2)), r"l: expected a square matrix"),
        (
            lambda: linalg.cho_solve(jnp.eye(2), jnp.ones(3)),
            r"b: expected \(2,\) or \(2, m\), got \(3,\)",
        ),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
