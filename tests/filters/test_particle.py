"""The bootstrap filter against Kalman: in the mean over many seeds, and as K grows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.particle import bootstrap, draws, unit_weight
from filters.resampling import ancestors_of
from sim import rollout
from sim.live import live
from tests.filters.derivatives import quick

A, SD_Q, SD_R = 0.9, 0.7, 0.8
YS = np.array([[0.5], [1.5], [np.nan], [0.2], [-0.6], [-1.0]])


def transition(a, x, u, t, noise):
    return a * x + SD_Q * noise


def log_density(y, x, u, t):
    return jax.scipy.stats.norm.logpdf(y, x, jnp.asarray(SD_R, x.dtype))


def run(key, a, K, on_first=False, ys=YS):
    stepper = bootstrap(Partial(transition, a), log_density)
    first, rest = jax.random.split(key)
    carry = stepper.init(jax.random.normal(first, (K, 1)), on_first)
    return rollout(stepper.step, carry, {"y": jnp.asarray(ys)} | draws(rest, len(ys), K, 1))[1]


filtered = quick(run, static_argnums=(2, 3))


def kalman_filtered(a, on_first=False):
    stepper = kalman(LinearGaussian(jnp.reshape(a, (1, 1)), [SD_Q**2], [[1.0]], [SD_R**2]))
    return rollout(stepper.step, stepper.init(Gaussian([0.0], [[1.0]]), on_first), YS)[1]


exact = quick(kalman_filtered, static_argnums=1)


def z_scores(sample, expected):
    return (sample.mean(0) - expected) / (sample.std(0, ddof=1) / np.sqrt(len(sample)))


def test_likelihood_is_unbiased_and_its_gradient_in_the_mean_that_of_kalman():
    def loglik(a, key):
        return run(key, a, 50).loglik.sum()

    keys = jax.random.split(jax.random.key(3), 4000)
    both = quick(jax.vmap(jax.value_and_grad(loglik), in_axes=(None, 0)))
    logliks, slopes = map(np.asarray, both(A, keys))
    target, slope = quick(jax.value_and_grad(lambda a: kalman_filtered(a).loglik.sum()))(A)
    ratio = np.exp(logliks - float(target))
    assert abs(z_scores(ratio, 1.0)) < 4
    assert ratio.std() > 0.05
    # d p(y)/da = p(y) · d log p(y)/da, and of that too the estimate has the right mean.
    assert abs(z_scores(ratio * slopes, float(slope))) < 4
    assert abs(z_scores(ratio * slopes, 0.9 * float(slope))) > 4


def test_particles_may_be_of_the_first_observed_state():
    keys = jax.random.split(jax.random.key(3), 4000)
    logliks = quick(jax.vmap(lambda key: run(key, A, 50, True).loglik.sum()))(keys)
    assert abs(z_scores(np.exp(logliks - exact(A, True).loglik.sum()), 1.0)) < 4
    assert abs(z_scores(np.exp(logliks - exact(A).loglik.sum()), 1.0)) > 4


def test_a_chosen_weight_is_1_with_the_derivatives_of_w_over_what_w_is():
    derivatives = [lambda a: unit_weight(a**2)]  # a² / 9 at a = 3
    derivatives += [jax.grad(derivatives[0]), jax.jacfwd(derivatives[0])]
    derivatives += [jax.grad(derivatives[1]), jax.jacfwd(derivatives[1])]
    values = [float(f(3.0)) for f in derivatives]
    np.testing.assert_allclose(values, [1, 2 / 3, 2 / 3, 2 / 9, 2 / 9], rtol=1e-15)
    assert float(jax.grad(unit_weight)(0.0)) == 1.0  # a weight of 0 is never drawn


def test_squared_error_falls_as_one_over_K():
    estimates, errors = exact(A), []
    for K in (50, 800):
        keys = jax.random.split(jax.random.key(5), 400)
        got = jax.tree.map(np.asarray, quick(jax.vmap(lambda key, K=K: run(key, A, K)))(keys))
        errors.append(np.mean((got.m - estimates.m[None]) ** 2))
        assert np.all((got.ess >= 1 - 1e-9) & (got.ess <= K * (1 + 1e-9)))
    assert 11 < errors[0] / errors[1] < 23  # 16 times the particles
    # Of the covariances the mean over the seeds.
    np.testing.assert_allclose(got.P.mean(0), estimates.P, rtol=0.02)


def test_a_missing_component_is_left_out_and_a_missing_observation_changes_nothing():
    both = np.stack([YS[:, 0], np.full(6, np.nan)], 1)
    key = jax.random.key(0)
    one, two = filtered(key, A, 100), filtered(key, A, 100, False, both)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert float(one.loglik[2]) == pytest.approx(0, abs=1e-12)

    def loglik(a):
        return run(key, a, 100, False, both).loglik.sum()

    slopes = quick(lambda a: jnp.stack([jax.grad(loglik)(a), jax.jvp(loglik, (a,), (1.0,))[1]]))(A)
    assert np.all(np.isfinite(slopes))
    np.testing.assert_allclose(*slopes, rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_systematic_resampling_gives_each_its_share(seed):
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=257) * (rng.random(257) < 0.5)
    weights /= weights.sum()
    u = rng.random()
    ancestors = np.asarray(jax.jit(ancestors_of)(weights, u))
    expected = np.searchsorted(np.cumsum(weights), (np.arange(257) + u) / 257)
    np.testing.assert_array_equal(ancestors, expected)
    counts = np.bincount(ancestors, minlength=257)
    assert np.all(np.abs(counts - 257 * weights) < 1)


def test_impossible_observations_are_a_result():
    def within(y, x, u, t):
        return jnp.where(jnp.abs(y - x) < 1, -jnp.log(jnp.asarray(2.0)), -jnp.inf)

    def run(a):
        stepper = bootstrap(Partial(transition, a), within)
        carry = stepper.init(jnp.linspace(-1.0, 1.0, 50)[:, None])
        ys = jnp.array([[0.0], [100.0], [0.5]])
        return rollout(stepper.step, carry, {"y": ys} | draws(jax.random.key(0), 3, 50, 1))[1]

    got, slopes = quick(lambda a: (run(a), jax.jacrev(lambda a: run(a).loglik)(a)))(A)
    assert got.loglik[1] == -np.inf
    np.testing.assert_allclose(got.weights[1], 1 / 50)
    assert all(np.all(np.isfinite(x)) for x in got._replace(loglik=0.0))
    assert np.all(np.isfinite(slopes))


def test_live_float32_equals_the_batch():
    stepper = bootstrap(Partial(transition, np.float32(A)), log_density)
    carry = stepper.init(np.linspace(-1, 1, 20, dtype=np.float32)[:, None])
    xs = {"y": YS.astype(np.float32)} | draws(jax.random.key(0), 6, 20, 1, np.float32)
    batch = jax.jit(rollout)(stepper.step, carry, xs)[1]
    assert batch.m.dtype == batch.P.dtype == batch.loglik.dtype == np.float32
    now = live(stepper)
    for k in range(6):
        carry, y = now.step(carry, jax.tree.map(lambda x, k=k: x[k], xs))
        for a, b in zip(y, batch, strict=True):
            np.testing.assert_array_equal(a, b[k])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="resample_below: expected a fraction"):
        bootstrap(transition, log_density, resample_below=50)
    stepper = bootstrap(Partial(transition, A), log_density)
    with pytest.raises(ValueError, match=r"particles: expected an array \(K, n\), got shape"):
        stepper.init(np.zeros(5))
    carry = stepper.init(np.zeros((5, 1)))
    with pytest.raises(ValueError, match="xs: expected 'noise', see draws"):
        rollout(stepper.step, carry, {"y": YS})
    with pytest.raises(ValueError, match=r"xs: expected noise \(5, q\) and a uniform number"):
        rollout(stepper.step, carry, {"y": YS} | draws(jax.random.key(0), 6, 4, 1))
    wide = bootstrap(Partial(transition, A), lambda y, x, u, t: jnp.zeros(3))
    with pytest.raises(ValueError, match=r"log_density: expected a number or shape \(1,\)"):
        rollout(wide.step, carry, {"y": YS} | draws(jax.random.key(0), 6, 5, 1))
