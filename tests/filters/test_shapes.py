"""Every linear filter over shapes, masks and time variation, against the joint Gaussian."""

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.diffuse import diffuse_kalman
from filters.gaussian import Gaussian
from filters.information import information_kalman
from filters.kalman import LinearGaussian
from filters.parallel import parallel_kalman
from filters.square_root import square_root_kalman
from sim import rollout
from tests.filters.derivatives import quick
from tests.filters.oracle import check_covariances, posterior, random_case
from tests.filters.test_kalman import as_xs


def stepped(factory, more=lambda prior: {}):
    def run(model, prior, xs, on_first):
        stepper = factory(model)
        return rollout(stepper.step, stepper.init(prior, on_first=on_first, **more(prior)), xs)[1]

    return run


FORMS = {
    "square_root": stepped(square_root_kalman),
    "information": stepped(information_kalman),
    "diffuse": stepped(diffuse_kalman, lambda prior: {"diffuse": (False,) * len(prior.m)}),
    "parallel": lambda *case: parallel_kalman(*case[:3], on_first=case[3]),
}
COMPILED = {name: quick(run, static_argnums=3) for name, run in FORMS.items()}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=2)
@given(
    n=st.integers(1, 12),
    m=st.integers(0, 8),
    missing=st.sampled_from([0.0, 0.3, 1.0]),
    varying=st.booleans(),
    on_first=st.booleans(),
    seed=st.integers(0, 999),
)
@example(n=12, m=8, missing=0.3, varying=False, on_first=False, seed=0)
@example(n=2, m=0, missing=0.0, varying=True, on_first=True, seed=1)
def test_equals_conditioning_the_joint_gaussian(form, n, m, missing, varying, on_first, seed):
    case = prior, models, inputs, ys = random_case(n, m, 2, 4, seed, missing, varying)
    for model in models:  # the information form needs the inverse of F
        model["F"] = 0.5 * model["F"] + np.eye(n)
    xs = as_xs(models, inputs, ys, varying)
    found = COMPILED[form](LinearGaussian(**models[0]), Gaussian(*prior), xs, on_first)
    check_covariances(found.P, found.P_pred, found.S)
    tolerance = dict(rtol=1e-9, atol=1e-9)
    for k in (2, 4):
        mean, P, loglik = posterior(*case, upto=k, on_first=on_first)
        np.testing.assert_allclose(found.m[k - 1], mean[k], **tolerance)
        np.testing.assert_allclose(found.P[k - 1], P[k], **tolerance)
        np.testing.assert_allclose(found.loglik[:k].sum(), loglik, **tolerance)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_a_loop_over_its_members(form):
    members = []
    for seed in (1, 2):
        prior, models, inputs, ys = random_case(2, 1, 1, 4, seed, 0.3)
        models[0]["F"] = 0.5 * models[0]["F"] + np.eye(2)
        xs = as_xs(models, inputs, ys, False)
        members.append((LinearGaussian(**models[0]), Gaussian(*prior), xs))
    many = jax.tree.map(lambda *a: np.stack(a), *members)
    batch = quick(jax.vmap(lambda *case: FORMS[form](*case, False)))(*many)
    for k, case in enumerate(members):
        alone = COMPILED[form](*case, False)
        for a, b in zip(jax.tree.leaves(batch), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-9, atol=1e-10)
