"""The classic scans against NumPy and scipy."""

import jax.numpy as jnp
import numpy as np
import scipy.signal

from experiments import classics

XS = np.random.default_rng(0).normal(size=(3, 20))


def test_cumulative_sum_and_its_batch():
    np.testing.assert_allclose(classics.cumulative_sum(jnp.asarray(XS[0])), np.cumsum(XS[0]))
    np.testing.assert_allclose(classics.independent_sums(jnp.asarray(XS)), np.cumsum(XS, axis=1))


def test_powers_of_two():
    np.testing.assert_array_equal(classics.powers_of_two(30), 2 ** np.arange(1, 31))


def test_backward_average_is_a_filter_on_the_reversed_signal():
    expected = scipy.signal.lfilter([0.2], [1, -0.8], XS[0][::-1])[::-1]
    np.testing.assert_allclose(classics.backward_average(jnp.asarray(XS[0]), 0.2), expected)


def test_the_module_runs(capsys):
    classics.main()
    assert len(capsys.readouterr().out.splitlines()) == 4
