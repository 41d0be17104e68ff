"""The Kalman filter and smoother against the joint Gaussian of the whole record."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.rts import rts
from sim import rollout
from tests.filters.derivatives import quick
from tests.filters.oracle import check_covariances, posterior, random_case


@quick
def filtered_and_smoothed(model, prior, xs):
    stepper, smoother = kalman(model), rts()
    estimates = rollout(stepper.step, stepper.init(prior), xs)[1]
    return estimates, rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1]


def as_xs(models, inputs, ys, varying):
    xs = {"y": ys, "u": inputs}
    if varying:
        xs |= {name: np.stack([model[name] for model in models]) for name in models[0]}
    return xs


def check(case, varying):
    prior, models, inputs, ys = case
    estimates, smoothed = filtered_and_smoothed(
        LinearGaussian(**models[0]), Gaussian(*prior), as_xs(models, inputs, ys, varying)
    )
    m, P, loglik = posterior(*case)
    tolerance = dict(rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(smoothed.m, m[1:], **tolerance)
    np.testing.assert_allclose(smoothed.P, P[1:], **tolerance)
    np.testing.assert_allclose(estimates.loglik.sum(), loglik, **tolerance)
    for k in {1, len(ys)}:
        m, P, _ = posterior(*case, upto=k)
        np.testing.assert_allclose(estimates.m[k - 1], m[k], **tolerance)
        np.testing.assert_allclose(estimates.P[k - 1], P[k], **tolerance)
    check_covariances(estimates.P, estimates.P_pred, estimates.S, smoothed.P)


@settings(max_examples=8, deadline=None)
@given(
    n=st.integers(1, 12),
    m=st.integers(0, 8),
    missing=st.sampled_from([0.0, 0.3, 1.0]),
    varying=st.booleans(),
    seed=st.integers(0, 999),
)
def test_equals_conditioning_the_joint_gaussian(n, m, missing, varying, seed):
    check(random_case(n, m, 2, 5, seed, missing, varying), varying)


def test_a_state_beyond_the_compiled_loop_is_conditioned_at_once():
    check(random_case(17, 3, 1, 4, seed=5, missing=0.3), varying=False)
