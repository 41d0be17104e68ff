"""Filters on an `xarray.DataArray`: sampling rate from its times, design into its attributes.

Import it by name, ``from filters.iir.dataarray import filter_dataarray``: nothing else in
`filters` loads xarray.
"""

import inspect
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import xarray

from filters.iir.convert import tf2sos
from filters.iir.numeric import ArgumentError
from filters.iir.sosfilt import sosfilt
from filters.iir.zero_phase import sosfiltfilt
from sim.inputs import sample_interval

SECONDS = ("s", "sec", "second", "seconds")
Gap = Literal["raise", "hold", "propagate"]


def filter_dataarray(
    x: xarray.DataArray,
    design: Callable,
    cutoff: Any,
    *,
    order: int | None = None,
    dim: str = "time",
    zero_phase: bool = False,
    gap: Gap = "raise",
    **settings: Any,
) -> xarray.DataArray:
    """Filter along one dimension by second-order sections; all other dimensions are channels.

        causal y = H x,   zero phase y = H(z) H(z⁻¹) x, a gain of |H|² and no delay

    Args:
        x: signals with a coordinate along ``dim``: numbers, in the units of its
            attribute, datetime64 or timedelta64.
        design: a function of `filters.iir.design`, such as ``butter`` or ``iirnotch``,
            or any with their arguments that returns sos or (b, a).
        cutoff: its Wn or w0, in 1/units of the coordinate: Hz where those are s, kHz
            (ms-1) where ms, min-1 where min, and so on; Hz for dates. Two for a band.
        order: its N, where it has one.
        dim: the dimension along which to filter.
        zero_phase: filter forwards and backwards (`sosfiltfilt`) instead of forwards.
        gap: what to do at a NaN: "raise"; "hold" the last value, or at the start the
            first one; or "propagate" it to all outputs that depend on it.
        **settings: other arguments of the design: btype, rp, rs, norm, Q, gain.

    Returns:
        y, with the name, coordinates, dimensions and attributes of x, and the design in
        ``filter_method``, ``filter_order``, ``filter_cutoff``, ``filter_fs``,
        ``filter_units`` (of both), ``filter_phase``, ``filter_sos`` (flat, six numbers
        for each section) and one for each of the settings, all of types that NetCDF can
        store. After several filters they describe the last one.

    Raises:
        ValueError: there is no such dimension or coordinate, the times are irregular (the
            message names the sample), the cutoff is out of range, values are missing, or
            an error of the design or the filter.

    Reference: as `filters.iir.sosfilt.sosfilt`.

    >>> from filters.iir.design import butter
    >>> time = xarray.Variable("time", np.arange(0.0, 2.0, 0.01), {"units": "s"})
    >>> x = xarray.DataArray(np.ones(200), {"time": time}, name="level", attrs={"units": "m"})
    >>> y = filter_dataarray(x, butter, 5.0, order=2)
    >>> y.attrs["units"], y.attrs["filter_cutoff"], y.attrs["filter_units"], y.name
    ('m', 5.0, 'Hz', 'level')
    """
    fs, units = sampling_rate(x, dim)
    sos = sections(design, fs, cutoff, order=order, units=units, **settings)
    run, axis = sosfiltfilt if zero_phase else sosfilt, x.get_axis_num(dim)
    y = np.asarray(run(sos, fill_gaps(x, dim, gap), axis=axis))
    record = {
        "method": _name(design),
        "order": _poles(sos) if order is None else order,
        "cutoff": np.asarray(cutoff, float).tolist(),
        "fs": fs,
        "units": units,
        "phase": "zero" if zero_phase else "causal",
        **{name: str(v) if isinstance(v, bool | None) else v for name, v in settings.items()},
        "sos": sos.ravel().tolist(),
    }
    earlier = {name: v for name, v in x.attrs.items() if not str(name).startswith("filter_")}
    attributes = earlier | {f"filter_{name}": value for name, value in record.items()}
    # A new array: the encoding of x, such as 16-bit packing, does not fit the result.
    return xarray.DataArray(y, x.coords, x.dims, x.name, attributes)


filtered = filter_dataarray  # its earlier name


def sampling_rate(x: xarray.DataArray, dim: str = "time") -> tuple[float, str]:
    """Samples per unit of the coordinate along ``dim``, and the units of that rate.

    Raises:
        ValueError: there is no such dimension, no coordinate, or an irregular one.

    >>> minutes = xarray.Variable("time", [0.0, 0.5, 1.0], {"units": "min"})
    >>> sampling_rate(xarray.DataArray(np.zeros(3), {"time": minutes}, dims="time"))
    (2.0, 'min-1')
    """
    if dim not in x.dims:
        raise ValueError(f"dim: expected a dimension of {x.dims}, got {dim!r}")
    if dim not in x.coords:
        raise ValueError(f"{dim}: expected a coordinate with the times of the samples, got none")
    t, units = x[dim].values, str(x[dim].attrs.get("units", "")).split(" since ")[0].strip()
    if t.dtype.kind in "mM":
        t, units = (t - t[:1]) / np.timedelta64(1, "s"), "s"
    elif t.dtype.kind not in "iuf":
        raise ValueError(f"{dim}: expected numbers, datetime64 or timedelta64, got {t.dtype}")
    # Rounded times with a step such as 0.01 must give the intended rate, 100.
    fs = float(f"{1 / sample_interval(t, name=dim, units=units):.12g}")
    return fs, "Hz" if units in SECONDS else f"{units}-1" if units else "1"


def sections(
    design: Callable,
    fs: float,
    cutoff: Any,
    *,
    order: int | None = None,
    units: str = "Hz",
    **settings: Any,
) -> np.ndarray:
    """The second-order sections (S, 6) of a design; arguments and errors as `filter_dataarray`.

    >>> from filters.iir.design import iirnotch
    >>> sections(iirnotch, 1000.0, 50.0, Q=30.0).shape
    (1, 6)
    """
    signature = inspect.signature(design)
    edges = np.asarray(cutoff, float)
    if not np.all((edges > 0) & (edges < fs / 2)):
        raise ArgumentError(
            "cutoff",
            f"expected above 0 and below {fs / 2:g} {units}, half the sampling rate, got {cutoff}",
        )
    arguments = {"Wn" if "Wn" in signature.parameters else "w0": cutoff, "fs": fs, **settings}
    arguments |= {} if order is None else {"N": order}
    arguments |= {"output": "sos"} if "output" in signature.parameters else {}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        takes = ", ".join(signature.parameters)
        raise ArgumentError(
            "design", f"{_name(design)}({takes}): {error} (order is its N, cutoff its Wn or w0)"
        ) from None
    try:
        coefficients = design(**arguments)
    except ArgumentError as error:
        name = {"N": "order", "Wn": "cutoff", "w0": "cutoff"}.get(error.name, error.name)
        raise ArgumentError(name, error.reason) from None
    if isinstance(coefficients, tuple):
        coefficients = tf2sos(*coefficients)
    return np.asarray(coefficients, float)


def fill_gaps(x: xarray.DataArray, dim: str = "time", gap: Gap = "raise") -> np.ndarray:
    """The values of x with its gaps treated as `filter_dataarray` says.

    >>> fill_gaps(xarray.DataArray([np.nan, 1.0, np.nan, 3.0], dims="time"), gap="hold").tolist()
    [1.0, 1.0, 1.0, 3.0]
    """
    if gap not in get_args(Gap):
        raise ValueError(f"gap: expected one of {', '.join(get_args(Gap))}, got {gap!r}")
    values, axis = x.values, x.get_axis_num(dim)
    bad = ~np.isfinite(values)
    if not bad.any() or gap == "propagate":
        return values
    if gap == "raise":
        first_bad = np.argwhere(np.moveaxis(bad, axis, 0))[0]
        value = np.moveaxis(values, axis, 0)[tuple(first_bad)]
        raise ValueError(
            f"{x.name or 'x'}: expected a finite number in every sample, got {value} in "
            f"sample {first_bad[0]}; gap may be 'hold' or 'propagate'"
        )
    missing = np.isnan(values)
    if missing.all(axis=axis).any():
        raise ValueError(f"{x.name or 'x'}: expected a number to hold, got none but nan")
    index = np.arange(values.shape[axis]).reshape(-1, *[1] * (values.ndim - 1 - axis))
    last = np.maximum.accumulate(np.where(missing, -1, index), axis=axis)
    first = np.expand_dims(np.argmin(missing, axis=axis), axis)
    return np.take_along_axis(values, np.where(last < 0, first, last), axis=axis)


filled = fill_gaps  # its earlier name


def _name(design):
    return getattr(design, "__name__", type(design).__name__)


def _poles(sos):
    return int(np.sum(np.where(sos[:, 5] != 0, 2, sos[:, 4] != 0)))
