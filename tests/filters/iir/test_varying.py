"""Coefficients that change: constant ones against scipy, fast ones against an energy bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from filters.iir.varying import OUTPUTS, WITH_GAIN, state_variable_stepper, varying_sos_stepper
from sim import rollout

T, FS = 60, 48e3
SOS = scipy.signal.butter(4, 0.3, output="sos")
run = jax.jit(rollout)


def noise(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def constant(x, **entries):
    return {"x": x} | {k: jnp.broadcast_to(v, (len(x), *np.shape(v))) for k, v in entries.items()}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_constant_sections_are_those_of_scipy(dtype):
    x, zi = noise(T, 2, dtype=dtype), noise(2, 2, 2, seed=1, dtype=dtype)
    stepper = varying_sos_stepper(2, (2,), dtype)
    z, y = run(stepper.step, stepper.init(zi), constant(x, sos=SOS.astype(dtype)))
    expected, zf = scipy.signal.sosfilt(SOS, x.astype(float), axis=0, zi=zi)
    tolerance = 1e-12 if dtype is np.float64 else 1e-4
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(z, zf.reshape(4, 2), rtol=0, atol=tolerance)


def test_sections_change_at_their_sample_and_by_channel():
    other = scipy.signal.cheby1(4, 1, 0.5, output="sos")
    x = noise(T, 2)
    sos = np.stack([np.where(np.arange(T)[:, None, None] < 20, SOS, other), np.stack([SOS] * T)])
    stepper = varying_sos_stepper(2, (2,))
    _, y = run(stepper.step, stepper.init(), {"x": x, "sos": np.moveaxis(sos, 0, -1)})
    head, z = scipy.signal.sosfilt(SOS, x[:20, 0], zi=np.zeros((2, 2)))
    changed = np.concatenate([head, scipy.signal.sosfilt(other, x[20:, 0], zi=z)[0]])
    np.testing.assert_allclose(y[:, 0], changed, rtol=0, atol=1e-12)
    np.testing.assert_allclose(y[:, 1], scipy.signal.sosfilt(SOS, x[:, 1]), rtol=0, atol=1e-12)


def biquad(output, cutoff, q, gain):
    """The bilinear transform of the analog section, its frequency kept."""
    A = 10 ** (gain / 40)
    low, high = [A, np.sqrt(A) / q, 1], [1, np.sqrt(A) / q, A]
    b, a = {
        "lowpass": ([1], [1, 1 / q, 1]),
        "highpass": ([1, 0, 0], [1, 1 / q, 1]),
        "bandpass": ([1 / q, 0], [1, 1 / q, 1]),
        "notch": ([1, 0, 1], [1, 1 / q, 1]),
        "allpass": ([1, -1 / q, 1], [1, 1 / q, 1]),
        "peaking": ([1, A / q, 1], [1, 1 / (A * q), 1]),
        "lowshelf": (A * np.array(high), low),
        "highshelf": (A * np.array(low), high),
    }[output]
    w = np.tan(np.pi * cutoff / FS)
    return scipy.signal.bilinear(*scipy.signal.lp2lp(b, a, w), fs=0.5)


@pytest.mark.parametrize("output", OUTPUTS)
def test_at_a_fixed_cutoff_it_is_the_bilinear_biquad(output):
    x = noise(T)
    stepper = state_variable_stepper(output, fs=FS)
    gain = {"gain": 9.0} if output in WITH_GAIN else {}
    _, y = run(stepper.step, stepper.init(), constant(x, cutoff=3000.0, q=2.5, **gain))
    expected = scipy.signal.lfilter(*biquad(output, 3000.0, 2.5, 9.0), x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 1e4), st.floats(-2, 3), st.floats(0, 5))
def test_energy_is_bounded_however_the_cutoff_moves(seed, q, centre, depth):
    rng = np.random.default_rng(seed)
    x, cutoff = rng.normal(size=T), centre + depth * rng.normal(size=T)  # below 0, above Nyquist
    x[T // 2 :] = 0
    stepper = state_variable_stepper("bandpass")
    s = stepper.init(rng.normal(size=2))
    xs = constant(x, q=q) | {"cutoff": cutoff}
    energy = [float(s[0] ** 2 + s[1] ** 2), *energies(stepper, s, xs).tolist()]
    g = np.tan(np.pi * np.clip(cutoff / 2, 0, 0.4999))
    assert np.all(np.diff(energy) <= g * q * x**2 + 1e-9 * np.array(energy[1:]))


@jax.jit
def energies(stepper, s, xs):
    def step(s, x):
        s, _ = stepper.step(s, x)
        return s, s[0] ** 2 + s[1] ** 2

    return rollout(step, s, xs)[1]


def test_where_the_direct_form_blows_up_it_stays_bounded():
    k = np.arange(20000)
    cutoff = 4000 + 3990 * np.sin(2 * np.pi * 9000 * k / FS)  # audio rate
    x = np.where(k < 100, 1.0, 0.0)
    w, q = 2 * np.pi * cutoff / FS, 20.0
    alpha, c = np.sin(w) / (2 * q), np.cos(w)
    rows = np.stack([(1 - c) / 2, 1 - c, (1 - c) / 2, 1 + alpha, -2 * c, 1 - alpha], axis=-1)
    direct = varying_sos_stepper(1)
    xs = {"x": x, "sos": (rows / rows[:, 3:4])[:, None]}
    worst = np.abs(run(direct.step, direct.init(), xs)[1]).max()
    assert not worst < 1e6  # each row is stable, and yet
    stepper = state_variable_stepper("lowpass", fs=FS)
    _, y = run(stepper.step, stepper.init(), constant(x, q=q) | {"cutoff": cutoff})
    assert np.abs(y).max() < 30 and np.abs(y[-100:]).max() < 1e-3


def test_a_filter_per_channel_in_float32():
    x, cutoff = noise(T, 3, dtype=np.float32), np.array([500.0, 3000.0, 9000.0], np.float32)
    stepper = state_variable_stepper("highpass", (3,), FS, np.float32)
    _, y = run(stepper.step, stepper.init(), constant(x, cutoff=cutoff, q=np.float32(0.8)))
    assert y.dtype == np.float32
    for i, f in enumerate(cutoff):
        expected = scipy.signal.lfilter(*biquad("highpass", f, 0.8, 0.0), x[:, i])
        np.testing.assert_allclose(y[:, i], expected, rtol=0, atol=3e-5)


def test_both_have_gradients_in_both_modes():
    x = noise(6)

    @jax.jit
    def loss(sos, cutoff, q, gain, x):
        sections, variable = varying_sos_stepper(1), state_variable_stepper("lowshelf")
        _, x = rollout(sections.step, sections.init(), {"x": x, "sos": sos})
        xs = {"x": x, "cutoff": cutoff, "q": q, "gain": gain}
        return jnp.sum(rollout(variable.step, variable.init(), xs)[1] ** 2)

    sos = np.stack([SOS[:1]] * 6) * (1 + 0.1 * noise(6, 1, 6, seed=3))
    check_grads(loss, (sos, 0.3 + 0.1 * x, 1 + 0.1 * x, 3 * x, x), 1, ("fwd", "rev"), rtol=1e-6)


def test_mistakes_are_named():
    stepper = state_variable_stepper("peaking", (2,))
    good = {"x": np.ones((T, 2)), "cutoff": np.ones(T), "q": np.ones(T), "gain": np.ones(T)}
    cases = [
        (lambda: varying_sos_stepper(0), "sections: expected an integer of at least 1, got 0"),
        (lambda: state_variable_stepper("low"), r"output: expected one of .*, got 'low'"),
        (lambda: state_variable_stepper(fs=0.0), "fs: expected a sampling frequency above 0"),
        (lambda: state_variable_stepper(dtype=complex), "dtype: expected a real one"),
        (lambda: step(good | {"q": np.ones((T, 3))}), r"q: expected shape \(\) or \(2,\), got"),
        (lambda: step(good | {"x": 1j * np.ones((T, 2))}), "x: expected float64, got complex128"),
        (lambda: step({"x": good["x"]}), "x: expected a mapping with the entry 'cutoff'"),
        (lambda: step(good | {"Q": np.ones(T)}), "x: expected the entries"),
        (lambda: step(good["x"]), "x: expected a mapping with the entry 'x', got"),
        (lambda: stepper.init(np.ones(2)), r"s: expected shape \(2, 2\), got \(2,\)"),
    ]

    def step(xs):
        return rollout(stepper.step, stepper.init(), xs)

    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
