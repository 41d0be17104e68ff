"""Designs from numbers: equal to scipy's, row for row and root for root."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.iir import design
from filters.iir.convert import sos2tf

RIPPLES = {"butter": "", "cheby1": "p", "cheby2": "s", "ellip": "ps", "bessel": ""}
fractions = st.floats(0.02, 0.97)


def close(ours, theirs, rtol=1e-10):
    ours, theirs = ([x] if isinstance(x, np.ndarray) else x for x in (ours, theirs))
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs, strict=True):
        assert np.shape(x) == np.shape(y)
        scale = np.max(np.abs(y), initial=0)
        np.testing.assert_allclose(x, y, rtol=0, atol=rtol * scale)


@settings(max_examples=80)
@given(
    kind=st.sampled_from(list(RIPPLES)),
    N=st.integers(1, 12),
    edges=st.tuples(fractions, fractions).filter(lambda e: abs(e[0] - e[1]) > 0.02),
    btype=st.sampled_from(["lowpass", "highpass", "bandpass", "bandstop"]),
    rp=st.floats(0.05, 3.0),
    rs=st.floats(20.0, 90.0),
    analog=st.booleans(),
    fs=st.sampled_from([None, 8000.0]),
)
def test_every_classical_design_equals_scipys(kind, N, edges, btype, rp, rs, analog, fs):
    unit = 10.0 if analog else 1.0 if fs is None else fs / 2
    Wn = unit * np.sort(edges) if btype.startswith("band") else unit * edges[0]
    ripples = [{"p": rp, "s": rs}[r] for r in RIPPLES[kind]]
    options = {"btype": btype, "analog": analog, "fs": None if analog else fs}
    ours, theirs = getattr(design, kind), getattr(scipy.signal, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's, of coefficients near 0
        for output in ("zpk", "ba"):
            close(
                ours(N, *ripples, Wn, output=output, **options),
                theirs(N, *ripples, Wn, output=output, **options),
            )
        sos = ours(N, *ripples, Wn, output="sos", **options)
        try:
            expected = theirs(N, *ripples, Wn, output="sos", **options)
        except IndexError:  # scipy runs out of zeros where one real zero is left
            assert analog and btype == "bandpass" and N % 2
            expected = None
        symmetric = btype.startswith("band") and abs(sum(edges) - 1) < 1e-6
        if expected is not None and not symmetric:
            close(sos, expected)
        else:  # poles at one distance from the circle: rounding decides which is first
            b, a = theirs(N, *ripples, Wn, output="ba", **options)
            ours_b, ours_a = sos2tf(sos)
            skip = len(ours_a) - len(a)  # zeros before (s) or after (z)
            ours_b = ours_b[skip:] if analog else ours_b[: len(ours_b) - skip]
            close(ours_b[len(ours_b) - len(b) :], b, 1e-7)


@pytest.mark.parametrize("norm", ["phase", "delay", "mag"])
def test_bessel_prototypes_equal_scipys_to_order_24(norm):
    for N in range(25):
        close(design.besselap(N, norm), scipy.signal.besselap(N, norm), 1e-12)
    close(design.bessel(5, 0.3, norm=norm), scipy.signal.bessel(5, 0.3, norm=norm))


@pytest.mark.parametrize("kind", list(RIPPLES))
@pytest.mark.parametrize("btype", ["low", "high", "bandpass", "bandstop"])
@pytest.mark.parametrize("analog", [False, True])
def test_zeros_that_are_real_come_in_scipys_dtype(kind, btype, analog):
    ripples = [{"p": 1.0, "s": 40.0}[r] for r in RIPPLES[kind]]
    for N in range(4):
        args = (N, *ripples, [0.2, 0.5] if "band" in btype else 0.3, btype, analog, "zpk")
        ours, theirs = getattr(design, kind)(*args), getattr(scipy.signal, kind)(*args)
        assert [np.asarray(x).dtype for x in ours] == [np.asarray(x).dtype for x in theirs]


@pytest.mark.parametrize("name", ["lp2lp_zpk", "lp2hp_zpk", "lp2bp_zpk", "lp2bs_zpk"])
def test_transforms_keep_real_roots_real_where_scipy_does(name):
    for z, p in (([], [-1, -2]), ([-3.0], [-0.5 - 0.5j, -0.5 + 0.5j]), ([2j, -2j], [-1.0, -2.0])):
        ours = getattr(design, name)(z, p, 3.0, 15.0)
        theirs = getattr(scipy.signal, name)(z, p, 3.0, 15.0)
        digital = design.bilinear_zpk(z, p, 1.0, 2.0), scipy.signal.bilinear_zpk(z, p, 1.0, 2.0)
        for x, y in zip((*ours, *digital[0]), (*theirs, *digital[1]), strict=True):
            assert np.asarray(x).dtype == np.asarray(y).dtype
            np.testing.assert_allclose(x, y, rtol=1e-14)


def test_prototypes_of_order_0_pass_everything():
    for name, ripples in (("buttap", ()), ("cheb1ap", (2,)), ("cheb2ap", (30,))):
        close(getattr(design, name)(0, *ripples), getattr(scipy.signal, name)(0, *ripples))
    close(design.ellipap(0, 2, 30), scipy.signal.ellipap(0, 2, 30))
    b, a = design.butter(0, 1.0, analog=True)
    assert b.tolist() == a.tolist() == [1.0]


@pytest.mark.parametrize("name", ["lp2lp_zpk", "lp2hp_zpk", "lp2bp_zpk", "lp2bs_zpk"])
def test_transforms_equal_scipys(name):
    z, p = [-2j, 2j], [-0.75, -0.5 - 0.5j, -0.5 + 0.5j]
    bands = {"bw": 8.0} if "b" in name[3:5] else {}
    ours = getattr(design, name)(z, p, 3.0, wo=15.0, **bands)
    close(ours, getattr(scipy.signal, name)(z, p, 3.0, wo=15.0, **bands))
    close(
        design.bilinear_zpk(*ours, fs=10.0),
        scipy.signal.bilinear_zpk(*ours, fs=10.0),
    )


@settings(max_examples=30)
@given(
    b=st.lists(st.floats(-3, 3), min_size=1, max_size=5).filter(lambda b: abs(b[0]) > 0.1),
    a=st.lists(st.floats(0.1, 3), min_size=2, max_size=5),
    fs=st.floats(0.5, 1e4),
)
def test_bilinear_of_polynomials_equals_scipys(b, a, fs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = design.bilinear(b, a, fs), scipy.signal.bilinear(b, a, fs)
    if len(ours[0]) == len(theirs[0]):  # not where a leading zero is a matter of rounding
        close(ours, theirs, 1e-9)


def test_notch_peak_and_comb_equal_scipys():
    close(design.iirnotch(60.0, 30.0, fs=1000.0), scipy.signal.iirnotch(60.0, 30.0, fs=1000.0))
    close(design.iirpeak(0.3, 5), scipy.signal.iirpeak(0.3, 5))
    for ftype in ("notch", "peak"):
        for pass_zero in (False, True):
            options = {"fs": 1000.0, "pass_zero": pass_zero}
            close(
                design.iircomb(50.0, 30.0, ftype, **options),
                scipy.signal.iircomb(50.0, 30.0, ftype, **options),
            )


def test_biquads_do_at_their_frequencies_what_they_say():
    w0, Q, fs, gain = 1000.0, 3.0, 48000.0, 6.0

    def gains(sos, *at):
        return np.abs(scipy.signal.freqz_sos(sos, at, fs=fs)[1])

    nyquist, half, full = fs / 2, 10 ** (gain / 40), 10 ** (gain / 20)
    expected = {
        "lowpass": ((Q,), (1, Q, 0)),
        "highpass": ((Q,), (0, Q, 1)),
        "bandpass": ((Q,), (0, 1, 0)),
        "notch": ((Q,), (1, 0, 1)),
        "allpass": ((Q,), (1, 1, 1)),
        "peaking": ((Q, gain), (1, full, 1)),
        "lowshelf": ((gain,), (full, half, 1)),
        "highshelf": ((gain,), (1, half, full)),
    }
    for name, (given_, values) in expected.items():
        sos = getattr(design, f"biquad_{name}")(w0, *given_, fs=fs)
        assert sos.shape == (1, 6) and sos[0, 3] == 1
        np.testing.assert_allclose(gains(sos, 0.0, w0, nyquist), values, atol=1e-10)
    notch = design.biquad_notch(0.3, 5.0)
    # The notch of scipy has its −3 dB points elsewhere: b and a at w0 agree in shape only.
    np.testing.assert_allclose(notch[0, 1] / notch[0, 0], -2 * np.cos(0.3 * np.pi))
    equaliser = design.biquad_peaking([100.0, w0], Q, [3.0, gain], fs=fs)
    assert equaliser.shape == (2, 6)
    np.testing.assert_allclose(equaliser[1:], design.biquad_peaking(w0, Q, gain, fs=fs))


def test_jax_arrays_give_jax_arrays_of_their_precision():
    sos = design.butter(4, jnp.float32(0.3), output="sos")
    assert isinstance(sos, jnp.ndarray) and sos.dtype == jnp.float32
    np.testing.assert_allclose(sos, design.butter(4, 0.3, output="sos"), atol=1e-6)
    assert design.butter(4, jnp.asarray(0.3), output="sos").dtype == jnp.float64


def message(function, *args, **options):
    with pytest.raises(ValueError) as caught:
        function(*args, **options)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 200
    return text


def test_mistakes_are_named_in_one_line():
    butter, iirfilter = design.butter, design.iirfilter
    for N in (-1, 2.5, "4", None):
        assert message(butter, N, 0.2).startswith("N: ")
    for Wn in (0.0, -0.1, np.nan):
        assert "greater than 0" in message(butter, 4, Wn)
    assert "0 < Wn < 1" in message(butter, 4, 1.0)
    assert "fs/2 (fs=100.0 -> fs/2=50.0)" in message(butter, 4, 50.0, fs=100.0)
    assert "single critical frequency" in message(butter, 4, [0.1, 0.2])
    for Wn in (0.2, [0.1, 0.2, 0.3]):
        assert "start and stop" in message(butter, 4, Wn, "bandpass")
    assert "Wn[0] must be less" in message(butter, 4, [0.3, 0.2], "bandpass")
    assert "invalid bandtype" in message(butter, 4, 0.2, "sideways")
    assert "valid output form" in message(butter, 4, 0.2, output="pairs")
    assert "valid basic IIR filter" in message(iirfilter, 4, 0.2, btype="low", ftype="best")
    assert "cannot be specified" in message(butter, 4, 0.2, analog=True, fs=2.0)
    assert "single scalar" in message(butter, 4, 0.2, fs=np.array([1.0, 2.0]))
    assert "must be positive" in message(design.cheby1, 4, -1.0, 0.2)
    assert "must be positive" in message(design.cheby2, 4, -1.0, 0.2)
    assert "given rp and rs" in message(design.ellip, 4, 3.0, 2.0, 0.2)
    assert "passband ripple" in message(iirfilter, 4, 0.2, btype="low", ftype="cheby1")
    assert "not understood" in message(design.bessel, 4, 0.2, norm="best")
    assert "between 0 and" in message(design.iirnotch, 1.5, 30.0)
    assert message(design.iirnotch, 0.5, 0.0).startswith("Q: ")
    assert message(design.iirpeak, "blabla", 30.0) == "w0: expected a number, got 'blabla'"
    with pytest.raises(TypeError, match="Q: expected one number, got shape"):
        design.iirnotch(0.5, [1, 2, 3])
    assert "divisible" in message(design.iircomb, 0.3, 30.0)
    assert "notch or peak" in message(design.iircomb, 0.5, 30.0, "both")
    assert message(design.biquad_lowpass, [0.2, 1.0]).startswith("w0: ")
    assert "Improper" in message(design.lp2lp_zpk, [1.0], [], 1.0)
    assert "none" in message(design.bilinear_zpk, [], [1.0], 1.0, None)
