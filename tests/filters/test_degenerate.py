"""Models of low rank, with a near perfect sensor or a very stiff mode; and refused models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.tree_util import Partial

from filters.continuous import continuous_extended
from filters.diffuse import diffuse_kalman
from filters.diffuse_smoother import diffuse_smoother
from filters.discretise import LinearSDE, discretise
from filters.extended import extended
from filters.fixed_lag import fixed_lag
from filters.forecast import forecast
from filters.gaussian import Expected, Gaussian, condition
from filters.information import Information, information_kalman
from filters.iterated import iterated_extended
from filters.kalman import LinearGaussian, kalman
from filters.nonlinear import Nonlinear
from filters.parallel import parallel_kalman, parallel_rts
from filters.resampling import ancestors_of
from filters.robust import robust, student_t
from filters.rts import rts
from filters.sampling import posterior_samples
from filters.square_root import square_root_kalman
from filters.square_root_rts import square_root_rts
from filters.steady_state import riccati, steady_state_kalman
from integrators import rk4
from sim import rollout
from tests.filters.derivatives import check_gradient, quick
from tests.filters.oracle import random_case

LEVEL = LinearGaussian(F=np.eye(1), Q=np.eye(1), H=np.eye(1), R=np.eye(1))
# The position is observed without noise, and noise moves the velocity alone.
PERFECT = LinearGaussian(
    F=np.array([[1.0, 1.0], [0.0, 1.0]]),
    Q=np.diag([0.0, 1.0]),
    H=np.array([[1.0, 0.0]]),
    R=np.zeros((1, 1)),
)
YS = np.array([[0.3], [np.nan], [-0.4], [1.1]])


def run(factory, model, prior, ys, *start):
    stepper = factory(model)
    return rollout(stepper.step, stepper.init(prior, *start), ys)[1]


compiled = quick(run, static_argnums=(0, 4))


@pytest.mark.parametrize("variance", [1e-6, 1e-8])
def test_the_information_form_keeps_its_likelihood_with_accurate_sensors(variance):
    prior, models, _, ys = random_case(3, 2, 1, 6, 3, 0.2)
    model = LinearGaussian(*(models[0][name] for name in "FQHR"))
    model = model._replace(F=0.5 * model.F + np.eye(3), R=variance * np.eye(2))
    one, other = (
        compiled(form, model, Gaussian(*prior), ys) for form in (kalman, information_kalman)
    )
    np.testing.assert_allclose(other.loglik, one.loglik, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(other.m, one.m, rtol=1e-6, atol=1e-6)


def test_a_transition_that_loses_rank_leaves_no_direction_of_rounding():
    column, row = np.array([[1.0], [1 / 3]]), np.array([[0.3, 0.7]])
    model = LinearGaussian(column @ row, np.full(2, 0.1), np.array([[1.0, 0.3]]), np.ones(1))
    prior = Gaussian(np.zeros(2), np.zeros((2, 2)))
    ys = np.array([[0.4], [-0.2], [np.nan], [1.0]])
    found = compiled(diffuse_kalman, model, prior, ys)
    assert found.spent.tolist() == [1, 0, 0, 0] and not np.any(found.spread)
    # The same with its one direction given, of the state first observed.
    first = Gaussian(np.zeros(2), np.diag(model.Q))
    direction = np.linalg.norm(row) * column
    stepper = diffuse_kalman(model)
    exact = rollout(stepper.step, stepper.init(first, direction, on_first=True), ys)[1]
    for name in ("m", "P", "loglik"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(exact, name), rtol=1e-9, atol=1e-12
        )


def test_a_perfect_sensor_that_leaves_no_noise_is_named():
    prior = Gaussian(np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match=r"parallel_kalman: expected H Q Hᵀ \+ R"):
        parallel_kalman(PERFECT, prior, YS)
    with pytest.raises(ValueError, match=r"riccati: expected H Q Hᵀ \+ R"):
        steady_state_kalman(PERFECT)
    # With noise in either place both are right, and the filter never needs it.
    one = compiled(kalman, PERFECT, prior, YS)
    np.testing.assert_allclose(one.m[[0, 2, 3], 0], YS[[0, 2, 3], 0], rtol=1e-12)
    Q = np.array([[0.25, 0.5], [0.5, 1.0]])
    both = quick(parallel_kalman)(PERFECT._replace(Q=Q), prior, YS)
    np.testing.assert_allclose(
        both.m, compiled(kalman, PERFECT._replace(Q=Q), prior, YS).m, rtol=1e-9
    )
    F, _, H, R = PERFECT[:4]
    expected = scipy.linalg.solve_discrete_are(F.T, H.T, Q + 0.1 * np.eye(2), R)
    np.testing.assert_allclose(quick(riccati)(F, Q + 0.1 * np.eye(2), H, R), expected, rtol=1e-9)


def test_what_is_known_beforehand_tells_nothing():
    model = LinearGaussian(np.eye(1), np.zeros((1, 1)), np.ones((2, 1)), np.zeros((2, 2)))
    prior = Gaussian(np.ones(1), np.zeros((1, 1)))
    found = compiled(kalman, model, prior, np.ones((2, 2)))
    assert not np.any(found.loglik) and np.all(found.m == 1)
    for m in (2, 13):  # one at a time and at once
        known = Expected(jnp.ones(m), jnp.zeros((m, m)), jnp.zeros((1, m)))
        posterior, loglik = quick(condition)(Gaussian(jnp.ones(1), jnp.eye(1)), known, jnp.ones(m))
        assert (posterior.m[0], posterior.P[0, 0], loglik) == (1, 1, 0)


def test_a_mode_beyond_every_doubling_is_named():
    sde = LinearSDE(A=np.array([[-1e11]]), Qc=np.ones((1, 1)))
    with pytest.raises(ValueError, match="A: expected ‖A‖ dt of at most 2³¹, got 1e\\+11"):
        discretise(sde, 1.0)
    traced = jax.jit(discretise)(sde, 1.0)
    assert np.isnan(traced["F"]).all() and np.isnan(traced["Q"]).all()
    np.testing.assert_allclose(discretise(sde, 1e-2)["Q"], 5e-12, rtol=1e-9)


def test_a_dead_particle_at_the_end_is_never_drawn():
    weights = np.random.default_rng(4).random(1000).astype(np.float32)
    weights[-3:] = 0
    weights /= weights.sum(dtype=np.float64) * np.float32(1 + 1e-5)  # a sum a little below 1
    drawn = ancestors_of(jnp.asarray(weights), jnp.float32(0.9999))
    assert drawn[-1] == 996


ESTIMATES = {
    "rts": lambda estimates: rts().init(estimates),
    "parallel_rts": parallel_rts,
    "backward_sampler": lambda estimates: posterior_samples(jax.random.key(0), estimates, 2),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_a_smoother_takes_no_estimate_of_a_part_of_the_state(name):
    estimates = compiled(diffuse_kalman, LEVEL, Gaussian(np.zeros(1), np.zeros((1, 1))), YS)
    with pytest.raises(ValueError, match=f"{name}: expected estimates of a whole state, got Diff"):
        ESTIMATES[name](estimates)


@pytest.mark.parametrize(
    "factory", [information_kalman, steady_state_kalman, square_root_kalman, diffuse_kalman]
)
def test_a_filter_with_a_belief_of_its_own_is_refused_at_once(factory):
    for name, wrap in (
        ("forecast", forecast),
        ("fixed_lag", lambda stepper: fixed_lag(stepper, 1)),
    ):
        with pytest.raises(
            ValueError, match=f"{name}: expected a filter that gaussian_filter made"
        ):
            wrap(factory(LEVEL))


FORMS = [(kalman, rts), (square_root_kalman, square_root_rts), (diffuse_kalman, diffuse_smoother)]


@pytest.mark.parametrize(("form", "back"), FORMS)
def test_the_smoother_of_an_empty_record_is_empty(form, back):
    estimates = run(form, LEVEL, Gaussian(np.zeros(1), np.eye(1)), np.zeros((0, 1)))
    smoothed = rollout(back().step, back().init(estimates), estimates, reverse=True)[1]
    assert smoothed.m.shape == (0, 1) and smoothed.P.shape == (0, 1, 1)


def test_no_information_is_no_prior_of_a_lagged_filter():
    with pytest.raises(ValueError, match="prior"):
        fixed_lag(kalman(LEVEL), 1).init(Information(np.zeros(1), -np.eye(1)))


def square(x, u, t):
    return x**2


def still(x, u, t):
    return x


def first_and_bearing(x, u, t):
    return jnp.stack([x[0], x[0] / jnp.hypot(x[0], x[1])])  # no number at the origin


@pytest.mark.parametrize("factory", [extended, iterated_extended])
def test_a_forecast_is_linearised_at_the_mean_ahead(factory):
    stepper = forecast(factory(Nonlinear(still, square, np.full(1, 0.1), np.full(1, 0.2))))
    run = quick(
        lambda ys: rollout(stepper.step, stepper.init(Gaussian(np.full(1, 2.0), np.eye(1))), ys)[1]
    )
    future = run(np.full((2, 1), np.nan))
    np.testing.assert_allclose(future.mu, 4.0)
    np.testing.assert_allclose(future.S[:, 0, 0], [16 * 1.1 + 0.2, 16 * 1.2 + 0.2])


def drift(t, x, u):
    return 0 * x


@pytest.mark.parametrize("name", ["continuous", "robust"])
def test_a_missing_row_that_is_no_number_teaches_nothing(name):
    R, prior, ys = np.full(2, 0.1), Gaussian(np.zeros(2), np.eye(2)), np.array([[0.3, np.nan]])
    xs = ys
    if name == "continuous":
        stepper = continuous_extended(drift, first_and_bearing, 0.1 * np.eye(2), R, rk4)
        xs = {"y": ys, "t": np.ones(1), "dt": np.ones(1)}
    else:
        stepper = robust(extended(Nonlinear(still, first_and_bearing, R, R)), student_t(np.inf))
    found = quick(lambda xs: rollout(stepper.step, stepper.init(prior), xs)[1])(xs)
    np.testing.assert_allclose(found.m, [[0.3 * 1.1 / 1.2, 0.0]], rtol=1e-9)
    np.testing.assert_allclose(
        found.loglik, [-0.5 * (0.09 / 1.2 + np.log(2 * np.pi * 1.2))], rtol=1e-9
    )


def test_a_prior_of_mixed_scales_that_is_no_covariance_is_named():
    with pytest.raises(ValueError, match="prior.P: expected variances of at least 0, got -5"):
        kalman(PERFECT).init(Gaussian(np.zeros(2), np.diag([1e7, -5.0])))


def test_gradients_of_filter_and_smoother_with_gaps():
    prior, models, _, ys = random_case(2, 1, 1, 4, 6, 0.4)
    ys[1] = np.nan
    model = LinearGaussian(*(models[0][name] for name in "FQHR"))

    def loss(at):
        F, Q = at
        estimates = run(kalman, model._replace(F=F, Q=Q), Gaussian(*prior), ys)
        back = rts()
        smoothed = rollout(back.step, back.init(estimates), estimates, reverse=True)[1]
        return estimates.loglik.sum() + jnp.sum(jnp.sin(smoothed.m)) + jnp.sum(smoothed.P)

    check_gradient(loss, (model.F, model.Q))
    single = jax.tree.map(np.float32, (model, Gaussian(*prior), ys))
    small, exact = compiled(kalman, *single), compiled(kalman, model, Gaussian(*prior), ys)
    assert all(a.dtype == np.float32 for a in small)
    np.testing.assert_allclose(small.m, exact.m, atol=1e-4)
    np.testing.assert_allclose(small.loglik, exact.loglik, rtol=1e-4, atol=1e-4)


def test_a_nonlinear_filter_from_the_first_observed_state_is_the_linear_one():
    prior, models, _, ys = random_case(2, 1, 1, 3, 6, 0.4)
    model = LinearGaussian(*(models[0][name] for name in "FQHR"))

    def f(F, x, u, t):
        return F @ x

    bent = Nonlinear(Partial(f, model.F), Partial(f, model.H), model.Q, model.R)
    one, other = (
        compiled(form, m, Gaussian(*prior), ys, True)
        for form, m in ((kalman, model), (extended, bent))
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_misspelt_name_and_an_input_without_an_effect_are_named():
    for xs, words in (
        ({"y": YS, "Rr": np.ones((4, 1, 1))}, "xs: expected names among .*, got 'Rr'; meant 'R'"),
        ({"y": YS, "u": np.ones((4, 1))}, "u: expected a model with B or D"),
    ):
        with pytest.raises(ValueError, match=words):
            run(kalman, LEVEL, Gaussian(np.zeros(1), np.eye(1)), xs)
