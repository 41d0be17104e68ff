"""Weights of torch: outputs equal to its recorded ones, and to its own where it is installed."""

import json
from pathlib import Path

import numpy as np
import pytest

from sim.rnn import elman, from_torch, gru, layers, lstm
from tests.filters.derivatives import quick
from tests.rnn import make_torch_layers
from tests.rnn.zoo import drive

RECORDED = json.loads(Path(__file__).with_name("torch_layers.json").read_text())
CELLS = {"rnn": elman, "gru": gru, "lstm": lstm}


@quick
def run(stepper, xs):
    return drive(lambda s: s, stepper, xs)


def outputs(case):
    state = {key: np.array(value) for key, value in case["state"].items()}
    stepper = layers(*map(CELLS[case["kind"]], from_torch(state, case["kind"])))
    return run(stepper, np.array(case["x"]))


def equal(case):
    carry, ys = outputs(case)
    np.testing.assert_allclose(ys, case["y"], rtol=1e-12)
    leaves = [leaf if isinstance(leaf, tuple) else (leaf,) for leaf in carry]
    for ours, theirs in zip(zip(*leaves, strict=True), case["carry"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda c: f"{c['kind']}-{c['bias']}")
def test_outputs_are_those_that_torch_gave(case):
    equal(case)


@pytest.mark.parametrize("kind", CELLS)
def test_outputs_are_those_that_torch_gives(kind):
    pytest.importorskip("torch", reason="needs torch")
    equal(make_torch_layers.record(kind, True))


def test_the_dtype_is_that_of_the_weights():
    state = {"weight_ih_l0": np.ones((4, 1), "float32"), "weight_hh_l0": np.ones((4, 4), "float32")}
    assert {leaf.dtype for leaf in from_torch(state, "rnn")[0]} == {np.dtype("float32")}


def test_weights_that_do_not_fit_are_one_line():
    def state(**changed):
        shapes = {"weight_ih_l0": (9, 2), "weight_hh_l0": (9, 3), "bias_ih_l0": 9, "bias_hh_l0": 9}
        return {k: np.zeros(s) for k, s in (shapes | changed).items() if s is not None}

    assert len(from_torch(state(), "gru")) == 1
    both = {"weight_ih_l0_reverse": (9, 2)}
    second = {"weight_ih_l1": (9, 3), "weight_hh_l1": (9, 3), "bias_ih_l1": 9}
    for kind, given, line in [
        ("gur", state(), 'kind: expected "gru", "lstm" or "rnn", got \'gur\''),
        ("lstm", state(), "state['weight_ih_l0']: expected shape (12, 2), got (9, 2)"),
        (
            "gru",
            state(bias_hh_l0=None),
            "state: expected the key 'bias_hh_l0', got ['bias_ih_l0', ",
        ),
        ("gru", state(bias_hh_l0=8), "state['bias_hh_l0']: expected shape (9,), got (8,)"),
        ("gru", state(**second), "state: expected the key 'bias_hh_l1', got ["),
        (
            "gru",
            state(**both),
            "state: expected keys such as weight_ih_l0 or bias_hh_l1 "
            "(one direction, no projection), got 'weight_ih_l0_reverse'",
        ),
        (
            "lstm",
            state(weight_hr_l0=(2, 3)),
            "state: expected keys such as weight_ih_l0 or "
            "bias_hh_l1 (one direction, no projection), got 'weight_hr_l0'",
        ),
        (
            "gru",
            {"fc.weight": np.zeros(3)},
            "state: expected keys such as weight_ih_l0 or bias_hh_l1, got 'fc.weight'",
        ),
        ("gru", {}, "state: expected the key 'weight_ih_l0', got []"),
        ("gru", state(weight_hh_l0=9), "state['weight_hh_l0']: expected two axes, got shape (9,)"),
        ("gru", None, "state: expected a mapping from names to arrays, got NoneType"),
    ]:
        with pytest.raises(ValueError) as raised:
            from_torch(given, kind)
        assert str(raised.value).startswith(line), raised.value
        assert "\n" not in str(raised.value)
