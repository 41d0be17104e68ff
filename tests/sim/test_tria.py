"""Triangular roots: L Lᵀ = A Aᵀ on both sides of the limit, with gradients, singular or not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim import linalg, rollout

tria = jax.jit(linalg.tria)
SHAPES = [(1, 1), (4, 8), (4, 3), (12, 20), (13, 26), (14, 9)]


def random(n, k, seed=0, dtype=float):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, k)), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n, k", SHAPES)
def test_the_root_of_a_sum_of_squares(n, k, dtype):
    a = random(n, k, dtype=dtype)
    l = tria(a)  # noqa: E741
    assert l.dtype == dtype and l.shape == (n, n)
    assert np.all(np.triu(l, 1) == 0) and np.all(np.diagonal(l) >= 0)
    np.testing.assert_allclose(l @ l.T, a @ a.T, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("n, k, p", [(3, 7, 2), (13, 15, 4), (3, 2, 2), (13, 26, 13)])
def test_another_matrix_turns_with_it(n, k, p):
    a, b = random(n, k), random(p, k, seed=1)
    l, turned = linalg.triangularise(a, b)  # noqa: E741
    np.testing.assert_allclose(turned[:, :n] @ l.T, b @ a.T, atol=1e-12)
    np.testing.assert_allclose(turned @ turned.T, b @ b.T, atol=1e-12)


@pytest.mark.parametrize("n, k", [(1, 3), (4, 8), (13, 26)])
def test_gradients_in_both_modes_are_those_of_the_cholesky_factor(n, k):
    a, direction = random(n, k), random(n, k, seed=1)
    weights = jnp.sin(jnp.arange(n * n).reshape(n, n))

    @jax.jit
    def results(a):
        def ours(a):
            return jnp.sum(weights * linalg.tria(a))

        def theirs(a):
            return jnp.sum(weights * jnp.linalg.cholesky(a @ a.T))

        along = jax.jvp(ours, (a,), (direction,))[1]
        return (
            along,
            jnp.sum(jax.grad(ours)(a) * direction),
            jnp.sum(jax.grad(theirs)(a) * direction),
        )

    forward, reverse, expected = results(a)
    np.testing.assert_allclose([forward, reverse], expected, rtol=1e-8)


@pytest.mark.parametrize("n", [4, 14])
def test_the_turned_matrix_has_its_gradient(n):
    a, b, da, db = (random(n, 2 * n, seed=s) for s in range(4))
    weights = jnp.sin(jnp.arange(n * n).reshape(n, n))

    @jax.jit
    def derivative(a, b, da, db):
        def ours(a, b):
            l, turned = linalg.triangularise(a, b)  # noqa: E741
            cross, rest = turned[:, :n] @ l.T, turned[:, n:]
            return jnp.sum(weights * cross) + jnp.sum(weights * (rest @ rest.T))

        def theirs(a, b):
            gain = jnp.linalg.solve(a @ a.T, a @ b.T).T
            return jnp.sum(weights * (b @ a.T)) + jnp.sum(weights * (b @ b.T - gain @ a @ b.T))

        return [jax.jvp(g, (a, b), (da, db))[1] for g in (ours, theirs)]

    ours, theirs = derivative(a, b, da, db)
    np.testing.assert_allclose(ours, theirs, rtol=1e-7)


@pytest.mark.parametrize("n", [3, 13])
def test_dependent_rows_give_a_root_and_a_finite_gradient(n):
    a = random(n, 2 * n).at[1].set(0.0)
    a = a.at[2].set(3 * a[0])
    np.testing.assert_allclose(tria(a) @ tria(a).T, a @ a.T, atol=1e-12)
    for mode in (jax.jacfwd, jax.jacrev):
        assert np.all(np.isfinite(jax.jit(mode(tria))(a)))
    assert np.all(tria(jnp.zeros((2, 2))) == 0)


def test_a_singular_covariance_has_a_root_and_a_gradient():
    g = jnp.array([[0.5], [1.0], [0.0]])

    def root(q):
        return linalg.cholesky_semidefinite(q * (g @ g.T))

    np.testing.assert_allclose(root(2.0) @ root(2.0).T, 2 * g @ g.T, atol=1e-15)
    change = jax.jacfwd(lambda q: root(q) @ root(q).T)(2.0)
    np.testing.assert_allclose(change, g @ g.T, atol=1e-15)
    regular = random(4, 9) @ random(4, 9).T
    np.testing.assert_allclose(
        linalg.cholesky_semidefinite(regular), jnp.linalg.cholesky(regular), rtol=1e-12
    )


def test_it_stays_in_the_loop_and_batches():
    def step(s, x):
        return linalg.tria(jnp.concatenate([s, jnp.eye(4)], axis=1)), None

    run = jax.jit(lambda s: rollout(step, s, length=5)[0])
    assert "custom-call" not in run.lower(jnp.eye(4)).compile().as_text()
    batch = jax.vmap(run)(jnp.stack([jnp.eye(4), 2 * jnp.eye(4)]))
    np.testing.assert_allclose(batch[1], 3 * jnp.eye(4), atol=1e-12)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"a: expected a matrix, got shape \(2,\)"):
        linalg.tria(jnp.ones(2))
    with pytest.raises(ValueError, match=r"b: expected \(p, 2\), as a, got \(1, 3\)"):
        linalg.triangularise(jnp.ones((2, 2)), jnp.ones((1, 3)))
