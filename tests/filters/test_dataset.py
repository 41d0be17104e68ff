"""Estimates labelled: the parts asked for, their names, units and times."""

import jax.numpy as jnp
import numpy as np
import pytest

from filters.dataset import PARTS, dataset
from filters.gaussian import Gaussian
from filters.kalman import LinearGaussian, kalman
from filters.rts import rts
from sim import rollout

STATES = {"x": ("m", "position"), "v": ("m s-1", "velocity")}
OBSERVED = {"y": ("m", "measured position")}


@pytest.fixture(scope="module")
def found():
    model = LinearGaussian(F=[[1.0, 0.1], [0.0, 1.0]], Q=[0.01, 0.1], H=[[1.0, 0.0]], R=[0.2])
    ys = jnp.array([[0.1], [jnp.nan], [0.4], [0.3]])
    stepper, smoother = kalman(model), rts()
    estimates = rollout(stepper.step, stepper.init(Gaussian([0.0, 0.0], np.eye(2))), ys)[1]
    return (
        estimates,
        rollout(smoother.step, smoother.init(estimates), estimates, reverse=True)[1],
        ys,
    )


def test_by_default_means_and_standard_deviations_are_kept(found):
    estimates, smoothed, ys = found
    data = dataset(
        estimates,
        smoothed,
        dt=0.1,
        t0=2.0,
        states=STATES,
        observed=OBSERVED,
        signals={"y": ys[:, 0], "x_true": np.zeros(4)},
    )
    kinds = {f"{s}_{k}{e}" for s in "xv" for k in ("filtered", "smoothed") for e in ("", "_sd")}
    assert set(data) == kinds | {"y", "x_true"}
    np.testing.assert_array_equal(data.v_smoothed, smoothed.m[:, 1])
    np.testing.assert_allclose(data.x_filtered_sd, np.sqrt(estimates.P[:, 0, 0]))
    np.testing.assert_allclose(data.time, [2.0, 2.1, 2.2, 2.3])
    assert (data.v_filtered_sd.units, data.y.units, data.x_true.units) == ("m s-1", "m", "m")
    assert data.x_true.long_name == "true position"


def test_every_part_can_be_kept(found):
    estimates, smoothed, _ = found
    data = dataset(estimates, smoothed, dt=0.1, states=STATES, observed=OBSERVED, keep=PARTS)
    np.testing.assert_array_equal(data.x_v_smoothed_covariance, smoothed.P[:, 0, 1])
    assert data.x_v_filtered_covariance.units == "(m).(m s-1)"
    np.testing.assert_array_equal(data.v_predicted, estimates.m_pred[:, 1])
    np.testing.assert_allclose(data.y_innovation_sd, np.sqrt(estimates.S[:, 0, 0]))
    assert np.isnan(data.y_innovation[1]) and data.loglik[1] == 0
    only = dataset(estimates, dt=0.1, states=STATES, keep=("loglik",))
    assert set(only) == {"loglik"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": ("means",)}, "keep: expected some of mean, sd, .* got 'means'"),
        ({"states": {"x": ("m", "position")}}, "states: expected 2 names, got 1: x"),
        ({"keep": ("innovation",)}, "observed: expected 1 names, got 0"),
    ],
)
def test_a_mistake_is_named(found, change, message):
    with pytest.raises(ValueError, match=message):
        dataset(found[0], **{"dt": 0.1, "states": STATES} | change)
