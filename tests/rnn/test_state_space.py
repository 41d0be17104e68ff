"""A nonlinear state-space model, and the linear one that it starts as."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import dlsim

from sim import rollout
from sim.rnn import from_linear, mlp, state_space, state_space_params

LINEAR = SimpleNamespace(
    A=np.array([[0.9, 0.3], [-0.3, 0.9]]),
    B=np.array([[1.0], [0.2]]),
    C=np.array([[100.0, -3.0]]),
    D=np.array([[0.5]]),
)


def test_it_starts_as_the_linear_model_with_states_of_covariance_one():
    u = np.random.default_rng(0).normal(size=(30_000, 1))
    p = from_linear(jax.random.key(0), LINEAR, (4,), u=u)
    stepper = state_space(p)
    ys = rollout(stepper.step, stepper.init(), jnp.asarray(u[:50]))[1]
    parts = (LINEAR.A, LINEAR.B, LINEAR.C, LINEAR.D, 1.0)
    np.testing.assert_allclose(ys, dlsim(parts, u[:50])[1], rtol=1e-9, atol=1e-9)
    # x = Σ Aᵏ B u: its covariance solves P = A P Aᵀ + B Bᵀ.
    A, B = np.asarray(p.A), np.asarray(p.B)
    P = np.eye(2)
    for _ in range(500):
        P = A @ P @ A.T + B @ B.T
    np.testing.assert_allclose(P, np.eye(2), atol=0.05)
    unstable = SimpleNamespace(**{**vars(LINEAR), "A": 1.2 * LINEAR.A})
    with pytest.raises(ValueError, match="linear.A: expected a stable system, got a pole of mod"):
        from_linear(jax.random.key(0), unstable, u=u)
    with pytest.raises(ValueError, match="u: expected 1 inputs, as linear.B has, got 2"):
        from_linear(jax.random.key(0), LINEAR, u=np.ones((9, 2)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_step_is_its_equation_and_a_batch_its_members(dtype):
    p = state_space_params(jax.random.key(1), 2, 1, 3, (5,), dtype=dtype)
    p = jax.tree.map(lambda x: x + jnp.asarray(0.1, dtype), p)
    s, u = (jax.random.normal(jax.random.key(i), (4, n), dtype) for i, n in ((2, 3), (3, 2)))
    after, y = jax.jit(state_space(p).step)(s, u)
    both = mlp(p.net, jnp.concatenate([s[1], u[1]]))
    close = {"rtol": 1e-4 if dtype == jnp.float32 else 1e-10}
    np.testing.assert_allclose(after[1], p.A @ s[1] + p.B @ u[1] + p.b + both[:3], **close)
    np.testing.assert_allclose(y[1], p.C @ s[1] + p.D @ u[1] + p.c + both[3:], **close)
    assert after.dtype == y.dtype == dtype


def test_slopes_of_a_rollout_in_both_modes_are_those_of_differences():
    p = state_space_params(jax.random.key(4), 1, 1, 2, (3,))
    direction = jax.tree.map(lambda x: jnp.cos(jnp.arange(1.0, x.size + 1).reshape(x.shape)), p)
    u = jnp.sin(jnp.arange(8.0))[:, None]

    @jax.jit
    def loss(p):
        stepper = state_space(p)
        return jnp.sum(rollout(stepper.step, stepper.init(), u)[1] ** 2)

    def along(h):
        return loss(jax.tree.map(lambda x, d: x + h * d, p, direction))

    forward = jax.jvp(loss, (p,), (direction,))[1]
    reverse = sum(
        jnp.sum(g * d)
        for g, d in zip(*map(jax.tree.leaves, (jax.grad(loss)(p), direction)), strict=True)
    )
    np.testing.assert_allclose([forward, reverse], (along(1e-5) - along(-1e-5)) / 2e-5, rtol=1e-6)
