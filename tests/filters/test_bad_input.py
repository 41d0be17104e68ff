"""Bad input, filter by filter: an error that names the argument, or a defined result."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from filters.continuous import continuous_extended
from filters.diffuse import diffuse_kalman
from filters.discretise import intervals
from filters.gaussian import Gaussian
from filters.information import information_kalman
from filters.kalman import LinearGaussian, kalman
from filters.nonlinear import Nonlinear
from filters.parallel import parallel_kalman
from filters.particle import bootstrap, draws
from filters.robust import gate, huber, robust, student_t
from filters.square_root import square_root_kalman
from filters.steady_state import steady_state_kalman
from integrators import rk4
from sim import rollout
from tests.filters.derivatives import quick
from tests.filters.nonlinear_models import FILTERS as NONLINEAR

N = 3
MODEL = LinearGaussian(
    F=np.array([[1.0, 0.5], [0.0, 0.9]]), Q=np.diag([0.2, 0.1]), H=np.eye(2), R=np.diag([0.3, 0.4])
)
PRIOR = Gaussian(np.array([1.0, -1.0]), np.diag([0.5, 0.6]))
YS = np.zeros((N, 2))
INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])


def linear(factory, **start):
    def run(model, prior, ys):
        stepper = factory(model)
        return rollout(stepper.step, stepper.init(prior, **start), ys)[1]

    return run


def times(A, x, u, t):
    return A @ x


def nonlinear(factory):
    def run(model, prior, ys):
        F, Q, H, R = model[:4]
        stepper = factory(Nonlinear(Partial(times, F), Partial(times, H), Q, R))
        return rollout(stepper.step, stepper.init(prior), ys)[1]

    return run


def rate(A, t, x, u):
    return A @ x


def continuous(model, prior, ys):
    F, Q, H, R = model[:4]
    stepper = continuous_extended(Partial(rate, F), Partial(times, H), Q, R, rk4)
    xs = {"y": ys, **intervals(np.arange(1.0, len(ys) + 1), 0.0)}
    return rollout(stepper.step, stepper.init(prior), xs)[1]


def robustly(update):
    return linear(lambda model: robust(kalman(model), update))


LINEAR = {
    "kalman": linear(kalman),
    "square_root": linear(square_root_kalman),
    "information": linear(information_kalman),
    "diffuse": linear(diffuse_kalman, diffuse=(True, False)),
    "steady_state": linear(steady_state_kalman),
    "parallel": parallel_kalman,
    "gate": robustly(gate(9.0)),
    "student_t": robustly(student_t(iterations=2)),
    "huber": robustly(huber(iterations=2)),
}
FUNCTIONS = {name: nonlinear(factory) for name, factory in NONLINEAR.items()}
FUNCTIONS |= {"continuous": continuous}
EVERY = LINEAR | FUNCTIONS
every = pytest.mark.parametrize("name", EVERY)


def refused(run, words, prior=PRIOR, ys=YS, **changes):
    with pytest.raises(ValueError, match=rf"^{words}"):
        run(MODEL._replace(**changes), prior, ys)


@every
def test_noise_that_is_no_covariance_is_named(name):
    Q = "Qc" if name == "continuous" else "Q"
    refused(EVERY[name], f"{Q}: expected a positive semi-definite matrix, got", Q=INDEFINITE)
    refused(EVERY[name], f"{Q}: expected finite numbers", Q=np.full((2, 2), np.nan))
    refused(EVERY[name], "R: expected a positive semi-definite matrix, got", R=INDEFINITE)
    refused(EVERY[name], "R: expected a symmetric matrix", R=np.triu(np.ones((2, 2))))
    refused(EVERY[name], "R: expected variances of at least 0, got -1", R=np.array([1.0, -1.0]))


@every
def test_a_prior_that_is_none_is_named(name):
    if name != "steady_state":  # which reads no covariance
        indefinite = Gaussian(PRIOR.m, INDEFINITE)
        refused(EVERY[name], "prior.P: expected a positive semi-definite matrix", prior=indefinite)
        refused(EVERY[name], "prior: expected", prior=Gaussian(PRIOR.m, np.eye(3)))
    refused(EVERY[name], "(prior|m): expected", prior=Gaussian(np.ones((2, 1)), np.eye(2)))


@every
def test_a_prior_of_another_size_is_an_error_with_a_name(name):
    names = (
        r"f: expected .*\(3,\)|Qc?: expected .*as the prior has" if name in FUNCTIONS else "prior|m"
    )
    refused(EVERY[name], f"({names}).* got", prior=Gaussian(np.ones(3), np.eye(3)))


@every
def test_an_observation_of_the_wrong_width_is_named(name):
    for wrong in (np.zeros((N, 3)), np.zeros((N, 2, 1))):
        refused(EVERY[name], r"y: expected shape \(2,\), got", ys=wrong)


@pytest.mark.parametrize("name", LINEAR)
def test_a_matrix_of_the_wrong_shape_is_named(name):
    refused(LINEAR[name], r"F: expected \(3, 3\), got \(2, 3\)", F=np.ones((2, 3)))
    refused(LINEAR[name], r"H: expected \(2, 2\), got \(2, 3\)", H=np.ones((2, 3)))
    refused(LINEAR[name], r"R: expected \(2, 2\) or \(2,\), got \(3, 3\)", R=np.eye(3))
    refused(LINEAR[name], r"Q: expected \(2, 2\) or \(2,\), got \(1,\)", Q=np.ones(1))
    refused(LINEAR[name], "H: expected", H=np.ones(2))


@pytest.mark.parametrize("name", ["F", "H", "R"])
def test_a_number_for_a_matrix_is_named(name):
    refused(LINEAR["kalman"], f"{name}: expected", **{name: 1.0})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_the_wrong_shape_is_named(name):
    refused(FUNCTIONS[name], r"f: expected .*\(2,\).* got \(1,\)", F=np.ones((1, 2)))
    refused(FUNCTIONS[name], r"h: expected .*\(2,\).* got \(1,\)", H=np.ones((1, 2)))
    for wrong in (np.eye(3), np.float64(1.0)):
        refused(FUNCTIONS[name], r"Qc?: expected", Q=wrong)
        refused(FUNCTIONS[name], r"(R|h): expected", R=wrong)


@every
def test_nothing_observed_for_ever_is_prediction_alone_with_a_finite_gradient(name):
    ys = np.full((N, 2), np.nan)

    @quick
    def run(q):
        def loss(q):
            found = EVERY[name](MODEL._replace(Q=q * MODEL.Q), PRIOR, ys)
            return jnp.sum(found.m) + jnp.sum(found.P) + jnp.sum(found.loglik), found

        return jax.value_and_grad(loss, has_aux=True)(q)

    (_, found), gradient = run(1.0)
    np.testing.assert_allclose(found.m, found.m_pred, rtol=1e-12)
    if name != "steady_state":  # whose covariance is that of a complete record
        np.testing.assert_allclose(found.P, found.P_pred, rtol=1e-12)
    assert not np.any(found.loglik)
    assert np.isfinite(gradient) and all(np.isfinite(a).all() for a in (found.m, found.P, found.S))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"F": np.array([[1.0, 1.0], [1.0, 1.0]])}, "F: expected an invertible matrix"),
        ({"R": np.array([1.0, 0.0])}, "R: expected an invertible matrix"),
        ({"prior": Gaussian(PRIOR.m, np.diag([1.0, 0.0]))}, "prior.P: expected an invertible"),
    ],
)
def test_what_the_information_form_inverts_has_an_inverse(changes, words):
    refused(LINEAR["information"], words, **changes)


@pytest.mark.parametrize(
    "name", ["kalman", "square_root", "information", "diffuse", "gate", "student_t", "huber"]
)
def test_a_state_that_is_lost_is_no_missing_observation(name):
    """A model that is not a number for one step: neither is the likelihood from there on."""
    F = np.stack([MODEL.F, np.full((2, 2), np.nan), MODEL.F])
    found = quick(lambda F: LINEAR[name](MODEL, PRIOR, {"y": YS, "F": F}))(F)
    assert np.isfinite(found.loglik[0]) and np.isnan(found.loglik[1:]).all()
    assert np.isnan(found.m[1:]).all()


def test_time_that_goes_backwards_is_named():
    for t, t0 in (([1.0, 0.5, 2.0], 0.0), ([1.0, 2.0, 3.0], 1.5), ([1.0, np.nan, 2.0], 0.0)):
        with pytest.raises(ValueError, match="t: expected finite times that do not decrease"):
            intervals(t, t0)
    stepper = continuous_extended(
        Partial(rate, MODEL.F), Partial(times, MODEL.H), *MODEL[1:4:2], rk4
    )
    xs = {"y": YS, "t": np.array([1.0, 0.5, 2.0]), "dt": np.array([1.0, -0.5, 1.5])}
    estimates = rollout(stepper.step, stepper.init(PRIOR), xs)[1]
    # A length that only the running step sees: not a number from there on, not a guess.
    assert np.isfinite(estimates.m[0]).all() and np.isnan(estimates.m[1:]).all()


def unit_normal(y, x, u, t):
    return jnp.sum(jax.scipy.stats.norm.logpdf(y, x))[None]


def particles(ys, K=50, transition=lambda x, u, t, noise: x + noise, density=unit_normal, noise=1):
    cloud = bootstrap(transition, density)
    start = jax.random.normal(jax.random.key(0), (K, 1))
    xs = {"y": ys} | draws(jax.random.key(1), len(ys), K, noise)
    return rollout(cloud.step, cloud.init(start), xs)[1]


def test_particles_without_any_observation_are_prediction_alone():
    run = partial(particles, np.full((N, 1), np.nan))
    found = quick(run)()
    np.testing.assert_allclose(found.loglik, 0, atol=1e-14)  # the weights sum to 1 to rounding
    np.testing.assert_allclose(found.ess, 50)
    assert np.isfinite(found.P).all()
    slope = jax.grad(lambda a: run(transition=lambda x, u, t, noise: a * x + noise).m.sum())
    assert np.isfinite(quick(slope)(1.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: particles(np.zeros((N, 2))), "log_density: expected a number or shape"),
        (
            lambda: particles(np.zeros((N, 1)), transition=lambda x, u, t, noise: x[0]),
            "transition: expected",
        ),
        (
            lambda: bootstrap(lambda x, u, t, noise: x, unit_normal).init(np.zeros(3)),
            "particles: expected",
        ),
    ],
)
def test_a_mistake_about_particles_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
