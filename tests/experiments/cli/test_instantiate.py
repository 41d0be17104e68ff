"""The schema of a piece is its signature: what is refused, and in which words."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pytest

from experiments.cli.instantiate import instantiate
from experiments.cli.targets import check_target, resolve


class Params(NamedTuple):
    mass: Any = 1.0
    drive: Any = None


class State(NamedTuple):
    x: Any
    v: Any


def piece(
    n: int = 3,
    hold: Literal["zero", "cubic"] = "zero",
    params: Params = Params(),
    initial: State | None = None,
    path: str | None = None,
    start=State(1.0, 2.0),
):
    if n > 9:
        raise ValueError(f"n: expected at most 9, got {n}")
    return n, hold, params, initial, path, start


def test_values_arrive_as_the_signature_says():
    values = {"n": 4.0, "params": {"mass": [1, 2]}, "initial": {"x": 0, "v": 1}, "start": {"v": 5}}
    n, hold, params, initial, path, start = instantiate(piece, values)
    assert (n, type(n), hold, path) == (4, int, "zero", None)
    assert isinstance(params, Params) and params.drive is None
    np.testing.assert_array_equal(params.mass, [1.0, 2.0])
    assert initial == State(0, 1)
    assert start == State(1.0, 5.0)  # what is not said stays the default


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hodl": "zero"}, "input.hodl: unknown key; did you mean 'hold'?"),
        (
            {"quite": 1},
            "input.quite: unknown key; known here: hold, initial, n, params, path, start",
        ),
        ({"n": 2.5}, "input.n: expected a whole number, got 2.5"),
        ({"n": True}, "input.n: expected a whole number, got True"),
        (
            {"hold": "cubc"},
            "input.hold: expected one of zero, cubic, got 'cubc'; did you mean 'cubic'?",
        ),
        ({"params": {"maas": 1}}, "input.params.maas: unknown key; did you mean 'mass'?"),
        ({"params": {"mass": "heavy"}}, "input.params.mass: expected a finite number or a list"),
        ({"params": {"mass": float("nan")}}, "input.params.mass: expected a finite number"),
        ({"params": 3}, "input.params: expected keys and values, got 3"),
        ({"initial": {"x": 1}}, "input.initial.v: expected a value, got nothing"),
        ({"path": 3}, "input.path: expected text, got 3"),
        ({"n": 10}, "input.n: expected at most 9, got 10"),  # the piece's own words
    ],
)
def test_a_mistake_is_named(values, message):
    with pytest.raises(ValueError) as caught:
        instantiate(piece, values, "input")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("target", ["os.system", "simulator.f", "simx.y", "jax.numpy.sin"])
def test_foreign_targets_are_refused(target):
    with pytest.raises(ValueError, match="outside the project's packages"):
        check_target("model._target_", target)


@pytest.mark.parametrize("target", ["", "a..b", "sim.x()", "os system", 3, None])
def test_a_target_is_a_dotted_path(target):
    with pytest.raises(ValueError, match="expected a dotted path"):
        check_target("model._target_", target)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("integrators.rk44", "did you mean 'rk4'"),
        ("sim.models.lorentz.model", "did you mean 'lorenz'"),
        ("sim.netcdf.os.remove", "no module 'sim.netcdf.os'"),  # no way through to what it imports
        ("experiments.run.main.__globals__.get", "no module"),
        ("experiments.runs.directory.Path", "not a function or class of the permitted packages"),
        ("sim.models.lorenz.Any", "not a function or class of the permitted packages"),
        ("sim", "expected a dotted path"),
    ],
)
def test_only_what_a_module_defines_is_built(target, message):
    with pytest.raises(ValueError, match=message):
        resolve("model._target_", target)


def test_a_package_that_the_user_names_is_built():
    assert resolve("model._target_", "fractions.Fraction", ["fractions"])(1, 2) == 0.5
