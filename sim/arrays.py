"""Named arrays in one NetCDF file, which is replaced whole."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from sim.files import replace_file

KINDS = "iuf"  # integers and floats, the numbers of NetCDF


def write(
    path: str | os.PathLike, arrays: Mapping[str, Any], attributes: Mapping[str, Any]
) -> None:
    """Write arrays by name, bit for bit, by `sim.files.replace_file`.

    ``path`` always holds a whole file: a crash leaves the previous one.

    Args:
        path: the file, replaced if it is there.
        arrays: name -> array of real or whole numbers, of any shape.
        attributes: attributes of the file: names to strings or numbers.

    Raises:
        ValueError: an array is of another type; the message names it.
        OSError: the file cannot be written; the message names it.

    Reference: NetCDF-4 through netCDF4.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/a.nc", {"a.W": np.eye(2)}, {"kind": "gru"})
    ...     read_arrays(f"{folder}/a.nc")
    ({'a.W': array([[1., 0.],
           [0., 1.]])}, {'kind': 'gru'})
    """
    path = Path(path)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in KINDS or array.dtype.itemsize < 4:
            raise ValueError(f"{name}: expected real numbers of 32 or 64 bits, got {array.dtype}")
    try:
        with (
            replace_file(path) as temporary,
            netCDF4.Dataset(temporary, "w", format="NETCDF4") as file,
        ):
            file.setncatts(dict(attributes))
            for name, array in arrays.items():
                _put_array(file, name, array)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(f"{path}: cannot write the file: {reason}") from error


def read_arrays(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the attributes that `write` wrote.

    Raises:
        OSError: the file does not exist or is no NetCDF file; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            arrays = {name: np.asarray(stored[...]) for name, stored in file.variables.items()}
            return arrays, {name: file.getncattr(name) for name in file.ncattrs()}
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(f"{path}: cannot read the file: {reason}") from error


def _put_array(file, name, array):
    for size in array.shape:
        if f"n{size}" not in file.dimensions:
            file.createDimension(f"n{size}", size)
    # Without a fill value no number stands for a missing one, and NaN is kept.
    stored = file.createVariable(
        name, array.dtype, [f"n{size}" for size in array.shape], fill_value=False
    )
    stored.set_auto_maskandscale(False)
    stored[...] = array
