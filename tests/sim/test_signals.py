import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from sim.signals import (
    chirp,
    crest_factor,
    filtered_noise,
    low_crest_phases,
    multisine,
    prbs,
    ramp,
    random_phases,
    schroeder_phases,
    sine,
    step,
)

T = np.arange(1000) / 100
LOW = range(1, 32)
SPARSE = [2, 3, 7, 11, 12, 30, 41]
SIGNALS = {
    "step": functools.partial(step, start=2.0, amplitude=3.0),
    "ramp": functools.partial(ramp, start=2.0, slope=-3.0),
    "sine": functools.partial(sine, frequency=1.3, amplitude=2.0, phase=0.4),
    "chirp": functools.partial(chirp, f0=0.1, t1=10.0, f1=20.0),
    "multisine": functools.partial(multisine, harmonics=SPARSE, period=10.0),
    "prbs": functools.partial(prbs, clock=0.05, register=9, seed=3),
}


def test_closed_forms():
    np.testing.assert_array_equal(SIGNALS["step"](T), np.where(T >= 2, 3.0, 0.0))
    np.testing.assert_allclose(SIGNALS["ramp"](T), np.where(T >= 2, -3 * (T - 2), 0), atol=1e-13)
    expected = 2 * np.sin(2 * np.pi * 1.3 * T + 0.4)
    np.testing.assert_allclose(SIGNALS["sine"](T), expected, atol=1e-13)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_record_may_be_made_in_chunks(name):
    make = SIGNALS[name]
    whole = make(T)
    chunks = [make(T[a:b]) for a, b in ((0, 137), (137, 600), (600, 1000))]
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=1e-12)


@pytest.mark.parametrize("name", [*SIGNALS, "filtered_noise"])
def test_signals_have_the_default_float_dtype(name):
    make = {**SIGNALS, "filtered_noise": functools.partial(filtered_noise, cutoff=1.0)}[name]
    exact = make(T)
    assert isinstance(exact, jax.Array) and exact.shape == T.shape and exact.dtype == np.float64
    with jax.enable_x64(False):
        single = make(T)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", ["linear", "logarithmic"])
@pytest.mark.parametrize(("f0", "f1"), [(0.5, 30.0), (30.0, 0.5), (4.0, 4.0)])
def test_chirp_is_scipys(f0, f1, method):
    ours = chirp(T, f0, 12.0, f1, logarithmic=method == "logarithmic", amplitude=2.0, phase=0.3)
    scipys = 2 * signal.chirp(T, f0, 12.0, f1, method, phi=np.degrees(0.3))
    np.testing.assert_allclose(ours, scipys, atol=1e-10)


@pytest.mark.parametrize("make", [schroeder_phases, functools.partial(random_phases, seed=5)])
def test_a_multisine_has_its_harmonics_and_rms_and_no_others(make):
    amplitudes, phases = np.arange(1.0, 8.0), make(SPARSE)
    u = multisine(T, SPARSE, phases, amplitudes=amplitudes, rms=0.7)
    spectrum = 2 * np.fft.rfft(u) / len(u)
    scale = 0.7 / np.sqrt(np.sum(amplitudes**2) / 2)
    np.testing.assert_allclose(spectrum[SPARSE], scale * amplitudes * np.exp(1j * phases))
    assert np.abs(np.delete(spectrum, SPARSE)).max() < 1e-12
    assert np.sqrt(np.mean(u**2)) == pytest.approx(0.7)


def test_schroeders_phases_of_a_flat_spectrum():
    n = np.arange(1, 32)
    np.testing.assert_allclose(schroeder_phases(n), -np.pi * n * (n - 1) / 31, atol=1e-12)


@pytest.mark.parametrize(
    ("harmonics", "amplitudes", "reach"),
    [(LOW, None, 1.45), (SPARSE, None, 2.05), (LOW, 1 / np.arange(1, 32), 1.25)],
)
def test_clipping_lowers_the_crest_factor(harmonics, amplitudes, reach):
    period = np.arange(4096) / 4096
    crest = {
        name: crest_factor(multisine(period, harmonics, phases, amplitudes=amplitudes))
        for name, phases in {
            "schroeder": None,
            "random": random_phases(harmonics, 0),
            "low": low_crest_phases(harmonics, amplitudes),
        }.items()
    }
    assert crest["low"] < min(reach, 0.9 * crest["schroeder"], 0.8 * crest["random"])
    # The first iteration only measures its start.
    one = low_crest_phases(harmonics, amplitudes, iterations=1)
    np.testing.assert_array_equal(one, schroeder_phases(harmonics, amplitudes))


def test_crest_factor_of_known_signals():
    assert crest_factor(prbs(T, 0.01)) == 1
    assert crest_factor(sine(T, 1.0)) == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize("register", [2, 3, 7, 10])
@pytest.mark.parametrize("hold", [1, 4])
def test_prbs_is_a_maximum_length_sequence(register, hold):
    n = 2**register - 1
    t = 0.3 * np.arange(2 * n * hold)
    u = np.asarray(prbs(t, 0.3 * hold, register)).reshape(2, n, hold)
    np.testing.assert_array_equal(u[0], u[1])
    assert (u == u[..., :1]).all() and abs(u[0, :, 0].sum()) == 1
    bits = u[0, :, 0]
    correlation = np.fft.ifft(np.abs(np.fft.fft(bits)) ** 2).real / n
    np.testing.assert_allclose(correlation, [1.0] + [-1 / n] * (n - 1), atol=1e-12)


def test_prbs_chooses_a_register_that_does_not_repeat_in_the_record():
    for n in (1, 3, 4, 7, 8, 1000):
        t = np.arange(2.0 * n)
        period = 2 ** np.ceil(np.log2(n + 1)) - 1
        expected = prbs(t, 2.0, max(int(np.log2(period + 1)), 2), low=0.0, high=5.0)
        np.testing.assert_array_equal(prbs(t, 2.0, low=0.0, high=5.0), expected)
        assert set(np.asarray(expected)) <= {0.0, 5.0}


def test_prbs_is_held_whatever_the_rounding_of_the_times():
    u = np.asarray(prbs(0.1 * np.arange(3000), 0.3, 10)).reshape(-1, 3)
    assert (u == u[:, :1]).all()


def test_filtered_noise_has_its_rms_and_the_spectrum_of_the_filter():
    t = np.arange(200_000) / 1000
    u = np.asarray(filtered_noise(t, 50.0, rms=2.0, order=3, seed=1))
    assert np.sqrt(np.mean(u**2)) == pytest.approx(2.0)
    f, power = signal.welch(u, 1000, nperseg=1000)
    _, response = signal.sosfreqz(signal.butter(3, 50.0, fs=1000, output="sos"), f, fs=1000)
    expected = np.abs(response) ** 2
    expected *= 4.0 / np.sum(expected)
    band = (f > 2) & (f < 120)
    np.testing.assert_allclose(power[band], expected[band], rtol=0.35)


def test_filtered_noise_has_settled_before_its_first_sample():
    t = np.arange(200) / 100
    first = [filtered_noise(t, 5.0, seed=seed)[0] for seed in range(300)]
    assert np.mean(np.square(first)) == pytest.approx(1.0, rel=0.25)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: filtered_noise(T, 5.0, seed=seed),
        lambda seed: prbs(T, 0.01, seed=seed),
        lambda seed: multisine(T, SPARSE, random_phases(SPARSE, seed)),
    ],
)
def test_a_seed_is_a_signal(make):
    np.testing.assert_array_equal(make(1), make(1))
    assert np.abs(make(1) - make(2)).max() > 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sine(T, 50.0), "frequency: expected above 0 and below 50 Hz.*got 50"),
        (lambda: sine(T, 0.0), "frequency: expected above 0 and below 50 Hz.*got 0"),
        (lambda: sine(T, np.nan), "frequency: expected above 0.*got nan"),
        (lambda: chirp(T, 0.0, 1.0, 2.0), "f0: expected above 0 and below 50 Hz"),
        (lambda: chirp(T, 1.0, 1.0, 70.0), "f1: expected above 0 and below 50 Hz.*got 70"),
        (lambda: chirp(T, 1.0, 1.0, 9.0), "last time: expected above 0 and below 50 Hz.*got 80.9"),
        (lambda: chirp(T, 1.0, 0.0, 9.0), "t1: expected a positive number, got 0.0"),
        (lambda: multisine(T, []), "harmonics: expected increasing whole numbers"),
        (lambda: multisine(T, [1.5]), "harmonics: expected increasing whole numbers"),
        (lambda: multisine(T, [3, 2]), "harmonics: expected increasing whole numbers"),
        (lambda: multisine(T, [0, 2]), "harmonics: expected increasing whole numbers"),
        (lambda: multisine(T, [1, 500]), "harmonics: expected above 0 and below 50 Hz.*got 50"),
        (lambda: multisine(T, [1, 2], [0.1]), r"phases: expected 2, got shape \(1,\)"),
        (lambda: multisine(T, [1, 2], amplitudes=[1, 0]), "amplitudes: expected 2 positive"),
        (lambda: multisine(T, [1], period=-1), "period: expected a positive number, got -1"),
        (lambda: multisine(T, [1], rms=0), "rms: expected a positive number, got 0"),
        (lambda: low_crest_phases([1, 2], iterations=0), "iterations: expected an integer"),
        (lambda: prbs(T, 0.015), "clock: expected a whole number of sampling intervals of 0.01 s"),
        (lambda: prbs(T, 0.0), "clock: expected a whole number"),
        (lambda: prbs(T, 0.01, 33), "register: expected 2 to 32, got 33"),
        (lambda: filtered_noise(T, 60.0), "cutoff: expected above 0 and below 50 Hz.*got 60"),
        (lambda: filtered_noise(T, 0.01), "cutoff: expected at least 0.1 Hz, one cycle"),
        (lambda: filtered_noise(T, 1.0, rms=-1.0), "rms: expected a positive number"),
        (lambda: filtered_noise(T, 1.0, order=0), "order: expected an integer of at least 1"),
        (lambda: step([]), "t: expected at least 1 sample, got none"),
        (lambda: sine(T**2, 1.0), "t: expected regular samples"),
        (lambda: jax.jit(step)(jnp.asarray(T)), "t: expected concrete times"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
