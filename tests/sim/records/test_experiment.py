"""Samples of a record belong to the ends of the steps of a model."""

import jax.numpy as jnp
import numpy as np
import pytest

from sim import Stepper
from sim.fit import Experiment, Simulation, fit, sampled

T = 0.1 * np.arange(9)


@pytest.mark.parametrize("u", [None, np.ones(9)])
def test_irregular_times_are_refused_with_an_input_and_without(u):
    t = np.where(np.arange(9) > 4, T + 0.05, T)
    with pytest.raises(ValueError, match="t: expected regular samples"):
        sampled(t, u, np.exp(-t))


def test_records_with_different_intervals_are_refused():
    def decay(p):
        return Stepper(jnp.asarray, lambda s, _: 2 * (s * (1 - 0.1 * p["k"]),))

    def run(*records):
        return fit(Simulation(decay), {"k": 0.5}, records, states=1.0, free_states=False).params[
            "k"
        ]

    record, slow = sampled(T, None, np.exp(-T)), sampled(2 * T, None, np.exp(-2 * T))
    with pytest.raises(
        ValueError, match=r"experiments\[2\]: expected samples 0.1 s apart, as experiments\[1\]"
    ):
        run(Experiment(None, record.y), record, slow)
    # Printed times are rounded; and who knows better leaves the interval out.
    k = run(record, sampled(T + 1e-5 * np.arange(9), None, np.exp(-T)))
    assert k == run(record, record) and run(record, slow._replace(dt=None)) > 1.2 * k
