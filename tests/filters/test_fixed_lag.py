"""The fixed-lag smoother against the joint Gaussian conditioned up to each step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.fixed_lag import fixed_lag
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from sim import rollout
from sim.live import live
from tests.filters.derivatives import check_gradient
from tests.filters.oracle import posterior, random_case
from tests.filters.test_kalman import as_xs


@partial(jax.jit, static_argnums=0, static_argnames="on_first")
def lagged(lag, model, prior, xs, on_first=False):
    stepper = fixed_lag(kalman(model), lag)
    return rollout(stepper.step, stepper.init(prior, on_first), xs)[1]


@pytest.mark.parametrize("on_first", [False, True])
@pytest.mark.parametrize(
    ("n", "m", "lag", "varying"), [(2, 1, 1, True), (3, 2, 4, False), (10, 2, 5, False)]
)
def test_equals_the_joint_gaussian_conditioned_so_far(n, m, lag, varying, on_first):
    prior, models, inputs, ys = case = random_case(n, m, 2, 7, 4, 0.3, varying)
    xs = as_xs(models, inputs, ys, varying)
    got = lagged(lag, LinearGaussian(**models[0]), Gaussian(*prior), xs, on_first=on_first)
    for k in range(1, 8):
        means, covs, _ = posterior(*case, upto=k, on_first=on_first)
        np.testing.assert_allclose(got.m[k - 1], means[max(k - lag, 0)], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got.P[k - 1], covs[max(k - lag, 0)], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got.now.m[k - 1], means[k], rtol=1e-9, atol=1e-9)


def test_live_float32_batched_and_differentiated():
    prior, models, inputs, ys = random_case(2, 1, 1, 9, 4, 0.3)
    model, xs = LinearGaussian(**models[0]), as_xs(models, inputs, ys, False)
    exact = lagged(3, model, Gaussian(*prior), xs)
    single = jax.tree.map(lambda a: np.asarray(a, np.float32), (model, Gaussian(*prior), xs))
    got = lagged(3, *single)
    assert got.m.dtype == got.P.dtype == np.float32
    np.testing.assert_allclose(got.m, exact.m, atol=1e-4)

    now = live(fixed_lag(kalman(single[0]), 3))
    carry = now.init(single[1])
    for k in range(9):
        carry, y = now.step(carry, jax.tree.map(lambda x, k=k: x[k], single[2]))
        np.testing.assert_array_equal(y.m, got.m[k])

    def total(F):
        return lagged(3, model._replace(F=F), Gaussian(*prior), xs).m.sum()

    F = jnp.asarray(model.F)
    check_gradient(total, F)
    np.testing.assert_allclose(jax.vmap(total)(jnp.stack([F, F]))[1], total(F), rtol=1e-12)


def test_mistakes_are_named():
    walk = kalman(LinearGaussian([[1.0]], [1.0], [[1.0]], [1.0]))
    with pytest.raises(ValueError, match="lag: expected an integer of at least 1, got 0"):
        fixed_lag(walk, 0)
