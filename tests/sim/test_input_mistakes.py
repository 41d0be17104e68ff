"""Times and samples that do not make an input raise ValueError and say where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.inputs import (
    Piece,
    band_limited,
    cubic,
    sample_interval,
    zero_order_hold,
)
from tests.sim.sampled_inputs import MAKERS, T


def test_sample_interval_forgives_printed_times():
    t = np.round(0.0012345 * np.arange(2000), 6)
    assert sample_interval(t) == pytest.approx(0.0012345, rel=1e-6)
    assert sample_interval((1e-3 * np.arange(100_000)).astype(np.float32)) == pytest.approx(1e-3)
    assert sample_interval(jnp.arange(3)) == 1.0


def changed(k, value):
    t = T.copy()
    t[k] = value
    return t


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("t", "message"),
    [
        (
            changed(5, 0.81),
            r"t: expected regular samples, 0.1 s apart, got an interval of "
            r"0.11 s before sample 5",
        ),
        (np.r_[T[:7], T[8:], 1.5], "got an interval of 0.2 s before sample 7"),
        (
            changed(3, 0.2),
            r"t: expected increasing times, got an interval of -0.3 s before "
            "sample 3",
        ),
        (changed(4, np.nan), "t: expected finite times, got nan at sample 4"),
        (T[:1], "t: expected at least 2 samples, got 1"),
        (T.reshape(3, 4), r"t: expected real times of shape \(N,\), got float64\[3, 4\]"),
    ],
)
def test_irregular_times_are_named(make, t, message):
    with pytest.raises(ValueError, match=message):
        make(t, np.ones(len(t)))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("u", "message"),
    [
        ({"f": np.ones(11)}, r"u\['f'\]: expected 12 samples, as many as t has, got 11"),
        (3.0, "u: expected 12 samples, as many as t has, got a scalar"),
        (None, "u: expected an array of 12 samples or a pytree of them, got None"),
    ],
)
def test_samples_that_do_not_match_are_named(make, u, message):
    with pytest.raises(ValueError, match=message):
        make(T, u)


def test_other_mistakes_are_named():
    with pytest.raises(ValueError, match="t: expected at least 4 samples, got 3"):
        cubic(T[:3], np.ones(3))
    for make in (cubic, band_limited):
        with pytest.raises(ValueError, match="u: expected finite samples.*infinity at sample 2"):
            make(T, changed(2, np.nan))
    with pytest.raises(ValueError, match="t: expected concrete times, got a traced array"):
        jax.jit(zero_order_hold)(T, T)
    for nodes in ((0.0, 0.0), (0.0, 1.5), ()):
        with pytest.raises(ValueError, match=r"nodes: expected distinct fractions in \[0, 1\]"):
            band_limited(T, T, nodes)
    with pytest.raises(ValueError, match="values: expected 2, one for each node, got 1"):
        Piece((1.0,), (0.0, 1.0))
    with pytest.raises(ValueError, match="n: expected an integer of at least 1, got 0"):
        Piece((1.0,), (0.0,)).subdivide(0)
