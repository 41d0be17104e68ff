"""The nonlinear filters on recorded problems, against published and recomputed values."""

import json
from dataclasses import replace

import numpy as np
import pytest

from filters.extended import extended
from filters.iterated import iterated_extended
from filters.rts import rts
from filters.unscented import unscented
from tests.filters.nonlinear_models import FILTERS, filtered, lidar_radar, pendulum, smoothed


@pytest.fixture(scope="module")
def published(shared):
    return json.loads((shared / "references/estimation.json").read_text())


def close(found, published, digits):
    np.testing.assert_allclose(found, published, rtol=0, atol=0.51 * 10.0**-digits)


def rmse(m, truth):
    return np.sqrt(np.mean((m - truth) ** 2, axis=0))


def nees(estimates, truth):
    e = truth - estimates.m
    return np.mean(np.einsum("ki,ki->k", e, np.linalg.solve(estimates.P, e[..., None])[..., 0]))


@pytest.mark.parametrize(
    ("factory", "key", "consistency"),
    [
        (extended, "EKF", 7.193),
        (unscented, "UKF_alpha1_beta0_kappa1", 1.929),
        (iterated_extended, "IEKF_10_iterations", 6.87),
    ],
)
def test_pendulum(shared, published, factory, key, consistency):
    model, prior, truth, ys = pendulum(shared)
    estimates = filtered(factory(model), prior, ys)
    values = published["pendulum"][key]
    close(rmse(estimates.m, truth)[0], values["filter_rmse"], 11)
    close(nees(estimates, truth), consistency, 3 if key != "IEKF_10_iterations" else 2)
    if "loglik" in values:
        close(estimates.loglik.sum(), values["loglik"], 8)
        close(rmse(smoothed(rts(), estimates).m, truth)[0], values["smoother_rmse"], 11)


@pytest.mark.parametrize("name", FILTERS)
def test_covariances_are_covariances(shared, name):
    model, prior, _, ys = pendulum(shared)
    estimates = filtered(FILTERS[name](model), prior, ys)
    for P in (estimates.P, estimates.P_pred, smoothed(rts(), estimates).P):
        np.testing.assert_allclose(P, np.swapaxes(P, 1, 2), atol=1e-15)
        assert np.linalg.eigvalsh(P).min() > 0


def test_lidar_and_radar(shared, published):
    """Two sensors as one observation of five rows, irregular in kind and missing in turn."""
    model, prior, xs, truth = lidar_radar(shared)
    values = published["lidar_radar"]
    estimates = filtered(extended(model), prior, xs)
    m = np.concatenate([prior.m[None], estimates.m])
    close(rmse(m, truth), values["rmse_px_py_vx_vy"], 6)
    close(estimates.loglik.sum(), values["loglik"], 5)
    nis = {"lidar": [], "radar": []}
    for v, S in zip(np.asarray(estimates.innovation), np.asarray(estimates.S), strict=True):
        seen = ~np.isnan(v)
        sensor = "radar" if seen[2] else "lidar"
        nis[sensor].append(v[seen] @ np.linalg.solve(S[np.ix_(seen, seen)], v[seen]))
    close([np.mean(nis["lidar"]), np.mean(nis["radar"])], values["mean_nis_lidar_radar"], 3)

    unwrapped = filtered(extended(replace(model, residual=None)), prior, xs)
    m = np.concatenate([prior.m[None], unwrapped.m])
    close(rmse(m, truth)[1], values["without_wrapping"]["rmse_py"], 4)
    close(unwrapped.loglik.sum(), values["without_wrapping"]["loglik"], 1)


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_follows_the_car(shared, name):
    """About as well as the extended filter, across the cut of the bearing at π."""
    model, prior, xs, truth = lidar_radar(shared)
    estimates = filtered(FILTERS[name](model), prior, xs)
    found = rmse(np.concatenate([prior.m[None], estimates.m]), truth)
    np.testing.assert_array_less(found, [0.11, 0.10, 0.60, 0.70])
