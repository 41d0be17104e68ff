"""DataArray in, DataArray out: the same numbers as scipy's, with the rate of the coordinate."""

import inspect

import numpy as np
import pytest
import scipy.signal
import xarray

from filters.iir import design
from filters.iir.dataarray import filtered, sampling_rate, sections
from filters.iir.design import butter, iirnotch
from sim.netcdf import read

N = 120
VALUES = np.random.default_rng(0).normal(size=(2, N, 3)).astype(np.float64)


def signals(times=None, **attributes):
    """Channels (x, time, y) sampled at 100 Hz, or at the times given."""
    times = np.arange(N) / 100 if times is None else times
    coordinates = {
        "time": xarray.Variable("time", times, attributes or {"units": "s"}),
        "y": [3, 1, 2],
    }
    about = {"units": "m s-2", "long_name": "acceleration"}
    return xarray.DataArray(VALUES, coordinates, ("x", "time", "y"), "acceleration", about)


SOS = scipy.signal.butter(3, 8.0, fs=100.0, output="sos")
CAUSAL = scipy.signal.sosfilt(SOS, VALUES, axis=1)


@pytest.mark.parametrize("zero_phase", [False, True])
def test_every_channel_is_filtered_along_the_dimension_and_all_names_are_kept(zero_phase):
    x = signals()
    y = filtered(x, butter, 8.0, order=3, zero_phase=zero_phase)
    expected = scipy.signal.sosfiltfilt(SOS, VALUES, axis=1) if zero_phase else CAUSAL
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)
    assert (y.dims, y.name, y.attrs["units"]) == (x.dims, x.name, "m s-2")
    xarray.testing.assert_identical(y.coords.to_dataset(), x.coords.to_dataset())
    assert not [name for name in x.attrs if name.startswith("filter_")]
    assert y.attrs["filter_phase"] == ("zero" if zero_phase else "causal")


@pytest.mark.parametrize(
    ("times", "units", "cutoff", "rate_units"),
    [
        (np.arange(N) * 10.0, "ms", 8e-3, "ms-1"),
        (np.arange(N) * 10, "ms", 8e-3, "ms-1"),
        (np.arange(N) / 6000, "min", 480.0, "min-1"),
        (5 + np.arange(N) / 8.64e6, "days since 2000-01-01", 691200.0, "days-1"),
        (np.arange(N, dtype=np.float32) / 100, "seconds", 8.0, "Hz"),
        (
            np.datetime64("2026-01-01", "ns") + np.arange(N) * np.timedelta64(10, "ms"),
            None,
            8.0,
            "Hz",
        ),
        (np.arange(N) * np.timedelta64(10_000_000, "ns"), None, 8.0, "Hz"),
        (np.arange(N) / 100, None, 8.0, "1"),
    ],
)
def test_a_cutoff_is_in_the_units_of_the_coordinate(times, units, cutoff, rate_units):
    x = signals(times, **({"units": units} if units else {"axis": "T"}))
    y = filtered(x, butter, cutoff, order=3)
    np.testing.assert_allclose(y, CAUSAL, rtol=2e-5, atol=2e-6)
    assert y.attrs["filter_units"] == rate_units
    np.testing.assert_allclose(y.attrs["filter_fs"] / cutoff, 100 / 8, rtol=1e-6)


def test_the_design_survives_a_netcdf_file(tmp_path):
    y = filtered(signals(), butter, [8.0, 20.0], order=2, btype="band")
    y.to_dataset().to_netcdf(tmp_path / "y.nc", engine="netcdf4")
    about = read(tmp_path / "y.nc").acceleration.attrs
    assert {name: about[f"filter_{name}"] for name in ("method", "btype", "phase", "units")} == {
        "method": "butter",
        "btype": "band",
        "phase": "causal",
        "units": "Hz",
    }
    assert (about["filter_order"], about["filter_fs"]) == (2, 100.0)
    assert about["filter_cutoff"].tolist() == [8.0, 20.0]
    sos = scipy.signal.butter(2, [8.0, 20.0], "band", fs=100.0, output="sos")
    again = scipy.signal.sosfilt(about["filter_sos"].reshape(-1, 6), VALUES, axis=1)
    np.testing.assert_allclose(
        again, scipy.signal.sosfilt(sos, VALUES, axis=1), rtol=1e-9, atol=1e-12
    )


def test_a_design_of_two_polynomials_and_one_of_scipy():
    y = filtered(signals(), iirnotch, 20.0, Q=5.0)
    b, a = scipy.signal.iirnotch(20.0, 5.0, fs=100.0)
    np.testing.assert_allclose(y, scipy.signal.lfilter(b, a, VALUES, axis=1), rtol=1e-9, atol=1e-12)
    assert (y.attrs["filter_order"], y.attrs["filter_Q"]) == (2, 5.0)
    np.testing.assert_allclose(
        filtered(signals(), scipy.signal.butter, 8.0, order=3), CAUSAL, rtol=1e-10
    )


def test_of_two_filters_the_attributes_tell_the_last():
    once = filtered(signals(), iirnotch, 20.0, Q=5.0)
    assert "filter_Q" not in filtered(once, butter, 8.0, order=3).attrs and "filter_Q" in once.attrs


def test_every_function_that_designs_a_digital_filter_will_do():
    given = {"rp": 1.0, "rs": 40.0, "Q": 4.0, "gain": 6.0}
    for name in design.__all__:
        function = getattr(design, name)
        takes = inspect.signature(function).parameters
        if not {"Wn", "w0"} & set(takes):
            continue
        cutoff = [10.0, 20.0] if takes.get("btype") and takes["btype"].default == "band" else 10.0
        arguments = {key: value for key, value in given.items() if key in takes}
        sos = sections(function, 100.0, cutoff, order=3 if "N" in takes else None, **arguments)
        assert sos.shape[1] == 6 and np.isfinite(sos).all(), name


def test_a_gap_is_refused_held_or_goes_through():
    x = signals().isel(x=0, y=0).copy(deep=True)
    x[[0, 50, 51]] = np.nan
    with pytest.raises(
        ValueError, match="acceleration: expected a finite number .* nan in sample 0"
    ):
        filtered(x, butter, 8.0, order=3)
    held = x.values.copy()
    held[0], held[50:52] = held[1], held[49]
    y = filtered(x, butter, 8.0, order=3, gap="hold")
    np.testing.assert_allclose(y, scipy.signal.sosfilt(SOS, held), rtol=1e-10, atol=1e-12)
    known = filtered(x[1:], butter, 8.0, order=3, gap="propagate")
    assert np.isfinite(known[:49]).all() and np.isnan(known[49:]).all()
    with pytest.raises(ValueError, match="expected a number to hold, got none but nan"):
        filtered(x * np.nan, butter, 8.0, order=3, gap="hold")
    with pytest.raises(
        ValueError, match="gap: expected one of raise, hold, propagate, got 'restart'"
    ):
        filtered(x, butter, 8.0, order=3, gap="restart")


def test_what_was_packed_is_not_packed_again():
    x = signals()
    x.encoding = {"dtype": "int16", "scale_factor": 0.1}
    assert not filtered(x, butter, 8.0, order=3).encoding


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"cutoff": 50.0},
            r"cutoff: expected above 0 and below 50 Hz, half the sampling rate, got 50.0",
        ),
        ({"cutoff": [8.0, 60.0], "btype": "band"}, "cutoff: .* got \\[8.0, 60.0\\]"),
        ({"dim": "t"}, r"dim: expected a dimension of \('x', 'time', 'y'\), got 't'"),
        ({"dim": "x"}, "x: expected a coordinate with the times of the samples, got none"),
        ({"dim": "y"}, "y: expected increasing times, got an interval of -2 before sample 1"),
        ({"Q": 3.0}, r"design: butter\(N, Wn, .*unexpected keyword argument 'Q'"),
        ({"order": None}, "missing a required argument: 'N' .order is its N"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        filtered(signals(), **{"design": butter, "cutoff": 8.0, "order": 3, **change})
    assert "\n" not in str(caught.value)


def test_a_fault_of_a_design_is_its_own_and_not_the_users():
    with pytest.raises(ValueError, match="Q: expected one number, got shape"):
        filtered(signals(), iirnotch, 8.0, Q=[1.0, 2.0])
    with pytest.raises(TypeError, match="unsupported operand"):
        filtered(signals(), lambda w0, fs: w0 + "Hz", 8.0)


def test_irregular_times_say_where():
    times = np.arange(N) * 10.0
    times[70:] += 5
    with pytest.raises(
        ValueError,
        match="time: expected regular samples, 10 ms apart, got an interval of "
        "15 ms before sample 70",
    ):
        sampling_rate(signals(times, units="ms"))
    late = np.datetime64("2026-01-01", "ns") + (times * 1e6).astype("timedelta64[ns]")
    with pytest.raises(
        ValueError, match="0.01 s apart, got an interval of 0.015 s before sample 70"
    ):
        sampling_rate(signals(late))
    late[3] = np.datetime64("NaT")
    with pytest.raises(ValueError, match="time: "):
        sampling_rate(signals(late))
