"""The forms that are parallel in time against the sequential ones, and on two devices."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.parallel import parallel_kalman, parallel_rts
from filters.rts import rts
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import check_covariances, random_case
from tests.filters.test_kalman import as_xs


def run_both(model, prior, xs, on_first=False):
    stepper, smoother = kalman(model), rts()
    one = rollout(stepper.step, stepper.init(prior, on_first), xs)[1]
    one_smooth = rollout(smoother.step, smoother.init(one), one, reverse=True)[1]
    other = parallel_kalman(model, prior, xs, on_first=on_first)
    return (one, one_smooth), (other, parallel_rts(other))


both = quick(run_both, static_argnames="on_first")


@pytest.mark.parametrize(
    ("n", "m", "N", "varying", "on_first"),
    [
        (1, 1, 1, True, False),
        (3, 2, 7, True, False),
        (3, 2, 7, False, True),
        (9, 4, 4, True, True),
        (2, 0, 3, False, False),
    ],
)
def test_equals_the_sequential_filter_and_smoother(n, m, N, varying, on_first):
    prior, models, inputs, ys = random_case(n, m, 2, N, 5, 0.3, varying)
    one, other = both(
        LinearGaussian(**models[0]),
        Gaussian(*prior),
        as_xs(models, inputs, ys, varying),
        on_first=on_first,
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    estimates, smoothed = other
    check_covariances(estimates.P, estimates.P_pred, estimates.S, smoothed.P)


def test_float32_stays_near_float64():
    prior, models, inputs, ys = random_case(3, 2, 2, 7, 1, 0.2)
    case = LinearGaussian(**models[0]), Gaussian(*prior), as_xs(models, inputs, ys, False)
    (exact, exact_smooth), _ = both(*case, on_first=True)
    _, (got, smooth) = both(*jax.tree.map(lambda a: np.asarray(a, np.float32), case), on_first=True)
    assert got.m.dtype == smooth.P.dtype == np.float32
    np.testing.assert_allclose(got.m, exact.m, atol=1e-4)
    np.testing.assert_allclose(smooth.P, exact_smooth.P, atol=1e-4)
    np.testing.assert_allclose(got.loglik.sum(), exact.loglik.sum(), rtol=1e-5)


def test_gradients_and_batches():
    prior, models, inputs, ys = random_case(2, 1, 1, 3, 3, 0.3)
    model, xs = LinearGaussian(**models[0]), as_xs(models, inputs, ys, False)

    def total(F):
        estimates = parallel_kalman(model._replace(F=F), Gaussian(*prior), xs)
        return estimates.loglik.sum() + parallel_rts(estimates).m.sum()

    check_gradient(total, model.F)
    Fs = jnp.stack([0.5 * model.F, model.F])
    np.testing.assert_allclose(quick(jax.vmap(total))(Fs)[1], quick(total)(model.F), rtol=1e-12)


TWO_DEVICES = """
import sim, jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
jax.config.update("jax_enable_x64", True)
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian
from filters.parallel import parallel_kalman, parallel_rts
assert jax.device_count() == 2
mesh = Mesh(np.array(jax.devices()), ("time",))
ys = np.cumsum(np.ones((16, 1)), axis=0)
walk = LinearGaussian([[1.0]], [1.0], [[1.0]], [1.0])
def run(ys):
    estimates = parallel_kalman(walk, Gaussian([0.0], [[1.0]]), ys)
    return parallel_rts(estimates).m, estimates.loglik.sum()
cut = jax.device_put(ys, NamedSharding(mesh, PartitionSpec("time")))
two = jax.jit(run)(cut)
one = jax.jit(run)(jax.device_put(ys, jax.devices()[0]))
assert len(cut.sharding.device_set) == 2
np.testing.assert_allclose(two[0], one[0], rtol=1e-12)
np.testing.assert_allclose(two[1], one[1], rtol=1e-12)
print("same")
"""


def test_runs_with_time_cut_over_two_devices():
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    )
    assert done.stdout == "same\n", done.stderr


def test_mistakes_are_named():
    walk = LinearGaussian([[1.0]], [1.0], [[1.0]], [1.0])
    with pytest.raises(ValueError, match="xs: expected a leading axis"):
        parallel_kalman(walk, Gaussian([0.0], [[1.0]]), 1.0)
    with pytest.raises(ValueError, match=r"y: expected shape \(1,\), got \(2,\)"):
        parallel_kalman(walk, Gaussian([0.0], [[1.0]]), np.zeros((3, 2)))
