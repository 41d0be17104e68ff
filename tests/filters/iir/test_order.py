"""Orders and designs from a specification: as scipy's, and they meet it."""

import jax
import numpy as np
import pytest
import scipy.signal
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from filters.iir import design
from filters.iir.response import freqz_sos

ORDERS = {"butter": "buttord", "cheby1": "cheb1ord", "cheby2": "cheb2ord", "ellip": "ellipord"}
edges = st.lists(st.floats(0.02, 0.95), min_size=2, max_size=4, unique=True).filter(
    lambda e: len(e) != 3 and np.min(np.diff(np.sort(e))) > 0.02
)
specifications = st.fixed_dictionaries(
    {
        "edges": edges,
        "passes_low": st.booleans(),
        "gpass": st.floats(0.05, 3.0),
        "gstop": st.floats(15.0, 80.0),
        "unit": st.sampled_from([None, 8000.0, "analog"]),
    }
)


def arguments(spec):
    """wp, ws, gpass, gstop and the options of unit."""
    unit = spec["unit"]
    scale = 10.0 if unit == "analog" else 1.0 if unit is None else unit / 2
    e = np.sort(spec["edges"]) * scale
    one, other = (e[0], e[1]) if len(e) == 2 else (e[[0, 3]], e[[1, 2]])
    bands = (one, other) if spec["passes_low"] else (other, one)
    options = {"analog": True} if unit == "analog" else {"fs": unit}
    return (*bands, spec["gpass"], spec["gstop"]), options


@settings(max_examples=150)
@given(spec=specifications, kind=st.sampled_from(list(ORDERS)))
def test_orders_and_edges_equal_scipys(spec, kind):
    args, options = arguments(spec)
    N, Wn = getattr(design, ORDERS[kind])(*args, **options)
    expected, theirs = getattr(scipy.signal, ORDERS[kind])(*args, **options)
    assert type(N) is int and expected == N
    assert np.shape(Wn) == np.shape(theirs)
    # scipy searches the edges of a band-stop to 1e-5 rad/s (of tan, in the z plane).
    stop = len(spec["edges"]) == 4 and spec["passes_low"]
    np.testing.assert_allclose(Wn, theirs, rtol=1e-3 if stop else 1e-12)


@settings(max_examples=60)
@given(spec=specifications, kind=st.sampled_from(list(ORDERS)))
def test_the_design_of_lowest_order_meets_the_specification(spec, kind):
    args, options = arguments(spec)
    wp, ws, gpass, gstop = args
    N, _ = getattr(design, ORDERS[kind])(*args, **options)
    assume(N <= 15)  # sections of higher orders round
    if spec["unit"] == "analog":
        z, p, k = design.iirdesign(*args, ftype=kind, output="zpk", **options)

        def gain(w):
            s = 1j * np.atleast_1d(w)[:, None]
            return np.abs(k * np.prod(s - z, 1) / np.prod(s - p, 1))
    else:
        sos = design.iirdesign(*args, ftype=kind, output="sos", **options)

        def gain(w):
            return np.abs(freqz_sos(sos, w, fs=spec["unit"] or 2.0)[1])

    slack = 1e-6
    assert np.all(-20 * np.log10(gain(wp)) <= gpass + slack)
    assert np.all(-20 * np.log10(gain(ws) + 1e-300) >= gstop - slack)


def test_the_edges_of_a_band_stop_are_the_best_not_only_near_it():
    """A finer search than scipy's, over one edge after the other, finds no lower order."""
    wp, ws = np.array([1.0, 9.0]), np.array([2.0, 5.0])
    _, Wn = design.cheb1ord(wp, ws, 1.0, 60.0, analog=True)

    def order(p0, p1):
        return scipy.signal.band_stop_obj(p0, 0, np.array([p0, p1]), ws, 1.0, 60.0, "cheby")

    trials = [order(p, 9.0) for p in np.linspace(1.0, 1.999, 20001)]
    assert order(*Wn) <= np.min(trials)
    np.testing.assert_allclose(Wn, [10.0 / 9.0, 9.0])


def test_the_design_differentiates_in_its_edges():
    N, Wn = design.buttord(0.2, 0.3, 1.0, 20.0)
    slope = jax.grad(lambda Wn: design.butter(N, Wn)[0][0])(Wn)
    h = 1e-6
    expected = (design.butter(N, Wn + h)[0][0] - design.butter(N, Wn - h)[0][0]) / (2 * h)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


LOW = (0.2, 0.3, 1.0, 40.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: design.buttord(0.2, 0.3, 0.0, 40.0), "gpass: gpass should be larger than 0.0"),
        (lambda: design.buttord(0.2, 0.3, 1.0, -1.0), "gstop: gstop should be larger than 0.0"),
        (lambda: design.ellipord(0.2, 0.3, 3.0, 3.0), "gpass should be smaller than gstop"),
        (lambda: design.cheb1ord(*LOW, analog=True, fs=1.0), "fs: fs cannot be specified"),
        (lambda: design.cheb2ord(0.2, [0.1, 0.3], 1, 40), "must have one or two elements"),
        (lambda: design.buttord(0.0, 0.3, 1, 40), "wp: Values for wp, ws must be greater than 0"),
        (lambda: design.buttord(0.2, 1.0, 1, 40), "ws: Values for wp, ws must be less than 1"),
        (lambda: design.buttord(2.0, 9.0, 1, 40, fs=10.0), r"less than fs/2 \(fs=10.0"),
        (lambda: design.buttord(0.2, 0.2, 1, 40), "Passband must lie strictly inside"),
        (lambda: design.buttord([0.1, 0.5], [0.2, 0.6], 1, 40), "Passband must lie strictly"),
        (lambda: design.buttord([0.2, 0.6], [0.1, 0.6], 1, 40), "Passband must lie strictly"),
        (lambda: design.iirdesign(*LOW, ftype="bessel"), "does not have order selection"),
        (
            lambda: design.iirdesign(*LOW, ftype="best"),
            "ftype: .best. is an invalid IIR filter type",
        ),
        (lambda: jax.jit(design.buttord)(*LOW), "wp: expected numbers, which give the order"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
