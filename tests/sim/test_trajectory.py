"""Names, units and time on what a rollout leaves."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from sim import rollout
from sim.models.model import Quantity
from sim.names import leaf_names
from sim.trajectory import trajectory


class State(NamedTuple):
    position: jax.Array
    angle: jax.Array


class Measured(NamedTuple):
    level: jax.Array
    angle: jax.Array


QUANTITIES = {
    "position": Quantity("m", "position of the mass"),
    "angle": Quantity("rad", "angle"),
    "voltage": Quantity("V", "pump voltage"),
    "unused": Quantity("K", "not in this run"),
}
YS = State(np.arange(6.0).reshape(3, 2), np.arange(3.0))


def test_variables_carry_names_units_and_the_end_of_each_step():
    dataset = trajectory(YS, dt=0.25, t0=1.0, save_every=2, quantities=QUANTITIES)
    assert set(dataset.data_vars) == {"position", "angle"}
    assert dataset.time.dtype == np.float64
    assert dataset.time.values.tolist() == [1.5, 2.0, 2.5]
    assert dataset.time.attrs["units"] == "s"
    assert dataset.position.dims == ("time", "position_index")
    assert dataset.position_index.values.tolist() == [0, 1]
    assert (dataset.position.units, dataset.angle.long_name) == ("m", "angle")
    np.testing.assert_array_equal(dataset.position, YS.position)


def test_only_the_labelled_trajectory_prepends_the_initial_state():
    """x₀ = 1, xₖ₊₁ = 2 xₖ: the value at time k is 2ᵏ, from the initial state on."""
    _, ys = rollout(lambda x, _: (2 * x, {"x": 2 * x}), jnp.asarray(1.0), length=4)
    x = trajectory(ys, dt=1.0, initial={"x": 1}).x
    assert len(ys["x"]) == 4
    np.testing.assert_array_equal(x, 2.0**x.time)


def test_time_comes_from_the_integer_step():
    time = trajectory(np.zeros(3), dt=0.1, first=10**9).time
    assert time.values.tolist() == [k * 0.1 for k in range(10**9, 10**9 + 3)]
    backwards = trajectory(np.zeros(2), dt=-0.5, first=0).time
    assert backwards.values.tolist() == [0.0, -0.5]


def test_chunks_joined_are_the_whole():
    ys = State(np.random.default_rng(0).normal(size=(9, 2)), np.arange(9.0))
    whole = trajectory(ys, dt=0.1, t0=0.3)
    parts = [
        trajectory(jax.tree.map(lambda y: y[a:b], ys), dt=0.1, t0=0.3, first=1 + a)  # noqa: B023
        for a, b in [(0, 4), (4, 9)]
    ]
    xarray.testing.assert_identical(xarray.concat(parts, "time", data_vars="minimal"), whole)


def test_an_ensemble_has_members_and_its_signals_are_shared():
    ys = State(np.zeros((3, 4, 2)), np.zeros((3, 4)))
    start = State(np.ones((4, 2)), np.ones(4))
    signals = {"voltage": np.arange(4.0), "hit": np.ones(4, bool)}
    dataset = trajectory(
        ys, dt=1, initial=start, ensemble=True, signals=signals, quantities=QUANTITIES
    )
    assert dataset.position.dims == ("time", "member", "position_index")
    assert dataset.member.values.tolist() == [0, 1, 2, 3]
    assert dataset.member.standard_name == "realization"
    assert (dataset.voltage.dims, dataset.voltage.units) == (("time",), "V")
    assert dataset.hit.dtype == np.int8  # NetCDF has no truth values


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        (0.0, ["y"]),
        ((0.0, (0.0, 0.0)), ["y_0", "y_1_0", "y_1_1"]),
        ({"state": State(0.0, 0.0), "output": {"speed": 0.0}}, ["speed", "position", "angle"]),
        ((State(0.0, 0.0), Measured(0.0, 0.0)), ["position", "y_0_angle", "level", "y_1_angle"]),
        ({"a b": [0.0, 0.0]}, ["a_b_0", "a_b_1"]),
    ],
)
def test_names_of_any_pytree(tree, names):
    assert leaf_names(tree) == names


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"ys: expected leading axes \(time, ...\) of one shape"):
        trajectory(State(np.zeros((3, 2)), np.zeros(4)), dt=1)
    with pytest.raises(ValueError, match=r"\(time, member, ...\) .* angle \(3,\)"):
        trajectory(YS, dt=1, ensemble=True)
    with pytest.raises(ValueError, match=r"initial: expected position \(2,\), got \(3,\)"):
        trajectory(YS, dt=1, initial=State(np.zeros(3), 0.0))
    with pytest.raises(ValueError, match="initial: expected the structure of ys"):
        trajectory(YS, dt=1, initial=(np.zeros(2), 0.0))
    with pytest.raises(ValueError, match=r"signals: expected u with 4 records, got shape \(3,\)"):
        trajectory(YS, dt=1, initial=State(np.zeros(2), 0.0), signals={"u": np.zeros(3)})
    with pytest.raises(ValueError, match="signals: expected names not taken by ys, got 'angle'"):
        trajectory(YS, dt=1, signals={"angle": np.zeros(3)})
    with pytest.raises(ValueError, match="names: expected each leaf to have its own"):
        leaf_names({"a_0": 0.0, "a": [0.0]})
