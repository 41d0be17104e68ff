"""Many series side by side equal each series on its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.series import kalman_series
from sim import rollout
from tests.filters.derivatives import quick
from tests.filters.oracle import random_case


def case(n, m, series, dtype=np.float64):
    prior, models, inputs, _ = random_case(n, m, 2, 6, seed=n, varying=False)
    rng = np.random.default_rng(1)
    ys = rng.normal(size=(6, m, series))
    ys[rng.random(ys.shape) < 0.3] = np.nan
    xs = {"y": ys, "u": rng.normal(size=(6, 2, series))}
    return jax.tree.map(
        lambda a: jnp.asarray(a, dtype), (LinearGaussian(**models[0]), Gaussian(*prior), xs)
    )


def one_by_one(model, prior, xs):
    def alone(xs):
        stepper = kalman(model)
        return rollout(stepper.step, stepper.init(prior), xs)[1]

    return jax.vmap(alone, in_axes=-1, out_axes=-1)(xs)


def together(model, prior, xs):
    stepper = kalman_series(model, xs["y"].shape[-1])
    return rollout(stepper.step, stepper.init(prior), xs)[1]


def loss(run):
    def f(model, prior, xs):
        e = run(model, prior, xs)
        return e.loglik.sum() + (e.m**2).sum() + jnp.sum(e.P[0, 0])

    return f


@pytest.mark.parametrize(
    ("n", "m", "series", "dtype", "tolerance"),
    [
        (1, 1, 1, float, 1e-12),
        (4, 2, 40, float, 1e-12),
        (6, 3, 17, float, 1e-12),
        (2, 0, 3, float, 1e-12),
        (3, 2, 33, np.float32, 2e-4),
    ],
)
def test_equals_each_series_on_its_own(n, m, series, dtype, tolerance):
    args = case(n, m, series, dtype)
    got, want = quick(together)(*args), quick(one_by_one)(*args)
    for name in want._fields:
        a, b = getattr(got, name), getattr(want, name)
        assert a.dtype == dtype and a.shape == b.shape, name
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)
    np.testing.assert_array_equal(got.P, jnp.swapaxes(got.P, 1, 2))


def test_gradients_in_both_modes_equal_those_of_vmap():
    args = case(2, 1, 17)
    got, want = (quick(jax.grad(loss(f), (0, 1)))(*args) for f in (together, one_by_one))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), got, want)
    model, prior, xs = args
    _, tangent = quick(
        lambda F: jax.jvp(
            lambda F: loss(together)(model._replace(F=F), prior, xs), (F,), (jnp.ones_like(F),)
        )
    )(model.F)
    np.testing.assert_allclose(tangent, want[0].F.sum(), rtol=1e-9)


def test_each_series_may_have_its_own_prior_and_each_step_its_own_matrices():
    model, prior, xs = case(3, 2, 18)
    own = Gaussian(
        prior.m[:, None] + jnp.arange(18.0)[None],
        prior.P[..., None] * (1 + jnp.arange(18.0))[None, None],
    )
    Fs = jnp.stack([model.F * (1 + 0.01 * k) for k in range(6)])
    e = quick(together)(model, own, xs | {"F": Fs})
    stepper = kalman(model)
    last = {"y": xs["y"][..., 17], "u": xs["u"][..., 17], "F": Fs}
    carry = stepper.init(Gaussian(own.m[:, 17], own.P[..., 17]))
    alone = quick(rollout, static_argnums=0)(stepper.step, carry, last)[1]
    np.testing.assert_allclose(e.m[..., 17], alone.m, rtol=1e-12)
    np.testing.assert_allclose(e.loglik[:, 17], alone.loglik, rtol=1e-12)


def test_says_what_it_expected():
    model, prior, xs = case(3, 2, 5)
    stepper = kalman_series(model, 5)
    with pytest.raises(
        ValueError, match=r"y: expected shape \(2, 5\), the series last, got \(5, 2\)"
    ):
        stepper.step(stepper.init(prior), {"y": xs["y"][0].T, "u": xs["u"][0]})
    with pytest.raises(ValueError, match=r"u: expected shape \(2, 5\)"):
        stepper.step(stepper.init(prior), {"y": xs["y"][0], "u": jnp.zeros(2)})
    with pytest.raises(ValueError, match=r"prior: expected a mean \(3,\) or \(3, 5\)"):
        stepper.init(Gaussian(jnp.zeros((3, 4)), jnp.eye(3)))
    with pytest.raises(ValueError, match=r"F: expected at most 16 states, got 17"):
        kalman_series(LinearGaussian(F=np.eye(17), Q=np.ones(17), H=np.ones((1, 17)), R=[1.0]), 2)
    with pytest.raises(ValueError, match="series: expected at least 1, got 0"):
        kalman_series(model, 0)
