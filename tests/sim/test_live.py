"""A live loop against the batch, to the bit; its state kept on disk."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from integrators import rk4
from sim import Stepper, rollout
from sim.live import live, load, save
from sim.models import lorenz
from sim.step import as_pytree

N = 300
batch = jax.jit(partial(rollout, length=N))


def lorenz_case(dtype):
    model = lorenz.model()
    stepper = rk4(model.field, 0.01)
    initial = jax.tree.map(lambda a: jnp.asarray(a, dtype), model.initial)
    return stepper, stepper.init(initial), None


def kalman_case(n, m, dtype):
    rng = np.random.default_rng(n)
    F = rng.normal(size=(n, n)).astype(dtype)
    F *= dtype(0.95) / np.abs(np.linalg.eigvals(F)).max().astype(dtype)
    H = rng.normal(size=(m, n)).astype(dtype)
    stepper = kalman(LinearGaussian(F, 0.1 * np.eye(n, dtype=dtype), H, np.eye(m, dtype=dtype)))
    ys = rng.normal(size=(N, m)).astype(dtype)
    ys[rng.random((N, m)) < 0.1] = np.nan
    return stepper, stepper.init(Gaussian(np.zeros(n, dtype), np.eye(n, dtype=dtype))), ys


def nonlinear_case(dtype):
    """An extended Kalman filter of a pendulum that emits its innovations alone."""

    def f(x):
        return jnp.stack([x[0] + 0.01 * x[1], x[1] - 0.0981 * jnp.sin(x[0])])

    def step(carry, y):
        m, P = carry
        F, m = jax.jacfwd(f)(m), f(m)
        P = F @ P @ F.T + 0.01 * jnp.eye(2, dtype=dtype)
        h = jnp.stack([jnp.cos(m[0]), jnp.zeros_like(m[0])])
        s = h @ P @ h + 0.1
        v = y[0] - jnp.sin(m[0])
        gain = P @ h / s
        return (m + gain * v, P - gain[:, None] * gain[None, :] * s), (v, s)

    ys = np.sin(0.03 * np.arange(N))[:, None].astype(dtype)
    return Stepper(None, step), (jnp.zeros(2, dtype), jnp.eye(2, dtype=dtype)), ys


CASES = {
    "lorenz": lorenz_case,
    "kalman_4_2": partial(kalman_case, 4, 2),
    "kalman_8_2": partial(kalman_case, 8, 2),
    "kalman_12_4": partial(kalman_case, 12, 4),
    "nonlinear": nonlinear_case,
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CASES)
def test_a_live_loop_gives_the_batch_to_the_bit(name, dtype, tmp_path):
    stepper, carry, xs = CASES[name](dtype)
    last, ys = batch(as_pytree(stepper.step), carry, xs)
    now, sent = live(stepper), []
    for k in range(N):
        carry, y = now.step(carry, None if xs is None else xs[k])
        sent.append(y)
        if k == N // 2:  # the process ends here, and another goes on
            save(tmp_path / "state.npz", carry)
            carry = load(tmp_path / "state.npz", carry)
    sent = jax.tree.map(lambda *y: np.stack(y), *sent)
    for a, b in zip(jax.tree.leaves((last, ys)), jax.tree.leaves((carry, sent)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_one_program_serves_every_parameter():
    traces = []

    def step(gain, carry, x):
        traces.append(None)
        return carry + gain * x, carry

    counts = []
    for gain in (0.1, 0.2, 0.3):
        now = live(Stepper(None, jax.tree_util.Partial(step, jnp.asarray(gain))))
        carry, _ = now.step(jnp.zeros(()), np.ones(()))
        counts.append(len(traces))
    assert counts == counts[:1] * 3
    assert float(carry) == 0.3


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match="stepper: expected a Stepper, got function"):
        live(lambda c, x: (c, x))
    save(tmp_path / "state.npz", (jnp.zeros(2), jnp.zeros(3)))
    with pytest.raises(ValueError, match=r"expected carry carry_1 float64\[4\], got float64\[3\]"):
        load(tmp_path / "state.npz", (jnp.zeros(2), jnp.zeros(4)))
    with pytest.raises(OSError, match="nothing.npz: no checkpoint is there"):
        load(tmp_path / "nothing.npz", ())
