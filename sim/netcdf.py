"""Trajectories in NetCDF-4: an appending writer that survives a kill, and a reader."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray

CHUNK_RECORDS = 2**14
CHUNK_BYTES = 2**20
PACKAGES = ("scansim", "jax", "jaxlib", "numpy", "xarray", "netCDF4")


@contextlib.contextmanager
def writer(
    path: str | os.PathLike,
    *,
    flush: int,
    attributes: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Iterator[Callable[[int, xarray.Dataset], None]]:
    """Open a file that grows along its unlimited ``time`` and is whole after every append.

    Yields ``append(first, dataset)``, which writes the records of a dataset (as
    `sim.trajectory.trajectory` makes it) from record ``first`` on, over any that are
    there, and flushes the file. The first dataset defines the variables. Appended records
    stay readable whatever happens to the process afterwards.

    Args:
        path: the file to create; it must not exist, unless ``resume``.
        flush: records per append, counted from record 0; the HDF5 chunks along time divide
            it. Appends of that size never write a chunk twice, so that a process killed
            during an append leaves all records before it.
        attributes: global attributes (title, source, config, config_hash, commit,
            seed, integrator, dt, ...); None values are left out. Conventions,
            history and versions are added.
        resume: continue an existing file, which must have the same ``config_hash``.

    Raises:
        OSError: the file exists, or cannot be created, opened or written; the message, one
            line, names it.
        ValueError: a dataset leaves a gap, steps back in time, or has other
            variables than the file; or the file is of another configuration.

    Reference: CF Conventions 1.11 (cfconventions.org); NetCDF-4 through netCDF4.

    >>> import tempfile, numpy as np
    >>> from sim.trajectory import trajectory
    >>> path = Path(tempfile.mkdtemp()) / "trajectory.nc"
    >>> with writer(path, flush=2) as append:
    ...     append(0, trajectory({"x": np.array([1.0, 2.0])}, dt=0.5, first=0))
    ...     append(2, trajectory({"x": np.array([3.0, 4.0])}, dt=0.5, first=2))
    >>> read(path).x.sel(time=1.5).item()
    4.0
    """
    path = Path(path)
    attributes = {
        name: v if isinstance(v, str | int | float) and not isinstance(v, bool) else str(v)
        for name, v in (attributes or {}).items()
        if v is not None
    }
    with _name_file_in_errors(path, "open" if resume else "create"):
        file = netCDF4.Dataset(path, "r+" if resume else "x", format="NETCDF4")
    try:
        with _name_file_in_errors(path, "write"):
            _write_attributes(file, attributes, path, resume)
            file.sync()

        def append(first, dataset):
            with _name_file_in_errors(path, "write"):
                _append(file, path, first, dataset, flush)
                file.sync()

        yield append
    except BaseException:
        # After a failed write, closing fails as well and adds nothing to the message.
        with contextlib.suppress(OSError, RuntimeError):
            file.close()
        raise
    with _name_file_in_errors(path, "close"):
        file.close()


def read(path: str | os.PathLike, records: slice = slice(None)) -> xarray.Dataset:
    """A NetCDF file as a Dataset in memory; elapsed ``time`` stays float64 seconds.

    Args:
        path: the file.
        records: the records along ``time`` to read; no others are read.

    Raises:
        OSError: the file does not exist or is no NetCDF file; the message names it.

    For a file larger than memory: ``xarray.open_dataset(path, engine="netcdf4")``.
    """
    path = Path(path)
    with (
        _name_file_in_errors(path, "read"),
        xarray.open_dataset(path, engine="netcdf4", decode_timedelta=False) as dataset,
    ):
        return dataset.isel(time=records, missing_dims="ignore").load()


@contextlib.contextmanager
def _name_file_in_errors(path, verb):
    """Raise every failure of the NetCDF library as an OSError that names the file."""
    try:
        if verb in ("open", "read") and not path.is_file():
            raise FileNotFoundError("there is no such file")  # "r+" would create it
        yield
    except (OSError, RuntimeError) as error:
        if verb == "create" and path.exists():
            raise FileExistsError(f"{path}: the file exists, and is never overwritten") from error
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path}: there is no folder {path.parent}") from error
        kind = type(error) if isinstance(error, FileNotFoundError | PermissionError) else OSError
        reason = getattr(error, "strerror", None) or str(error)
        if verb in ("write", "close"):
            reason += f" ({shutil.disk_usage(path.parent).free / 1e6:.0f} MB free there)"
        raise kind(f"{path}: cannot {verb} the file: {reason}") from error


def _write_attributes(file, attributes, path, resume):
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if resume:
        old, new = getattr(file, "config_hash", None), attributes.get("config_hash")
        if old != new:
            raise ValueError(
                f"resume: {path} is of another run: expected config_hash {new}, got {old}"
            )
        file.history += f"\n{now}: resumed by scansim"
        for stored in file.variables.values():
            _limit_memory(stored)
        return
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    file.setncatts(
        {
            "Conventions": "CF-1.11",
            "title": "scansim trajectory",
            "source": f"scansim {_version('scansim')}",
            "history": f"{now}: created by scansim",
            "versions": versions,
            **attributes,
        }
    )


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _append(file, path, first, dataset, flush):
    if not file.variables:
        _define(file, dataset, flush)
    stored, names = set(file.variables), set(dataset.variables)
    if stored != names:
        raise ValueError(f"dataset: expected variables {sorted(stored)}, got {sorted(names)}")
    time = dataset["time"].values
    count = len(file.dimensions["time"])
    if first > count:
        raise ValueError(f"first: expected at most {count}, the records in {path}, got {first}")
    steps = np.diff(np.append(file["time"][max(first - 1, 0) : first], time))
    if not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(f"dataset: expected time to go on from record {first - 1} of {path}")
    for name, variable in dataset.variables.items():
        if "time" in variable.dims:
            shape = file[name].shape[1:]
            if variable.shape[1:] != shape:
                raise ValueError(
                    f"dataset: expected {name} with {shape} per record, got {variable.shape[1:]}"
                )
            if variable.dtype != file[name].dtype:
                raise ValueError(
                    f"dataset: expected {name} of {file[name].dtype}, got {variable.dtype}"
                )
            file[name][first : first + len(time)] = variable.values


def _define(file, dataset, flush):
    for name, size in dataset.sizes.items():
        file.createDimension(name, None if name == "time" else size)
    for name, variable in dataset.variables.items():
        along_time = "time" in variable.dims
        stored = file.createVariable(
            name,
            variable.dtype,
            variable.dims,
            compression="zlib" if along_time else None,
            complevel=1,
            shuffle=along_time,
            fill_value=variable.encoding.get("_FillValue"),
            chunksizes=_chunk_sizes(variable, flush) if along_time else None,
        )
        stored.setncatts(variable.attrs)
        _limit_memory(stored)
        if not along_time:
            stored[:] = variable.values


def _limit_memory(stored):
    """Turn off masking and scaling, which copy, and cache one row of chunks, not 64 MiB."""
    stored.set_auto_maskandscale(False)
    if stored.chunking() != "contiguous":
        records, *_ = stored.chunking()
        row = records * int(np.prod(stored.shape[1:])) * stored.dtype.itemsize
        stored.set_var_chunk_cache(size=max(row, CHUNK_BYTES))


def _chunk_sizes(variable, flush):
    """Chunk sizes: a divisor of the flush along time, and along the other axes what 1 MiB holds.

    A flush has to end where a chunk ends. HDF5 writes a chunk that is written twice to a new
    place and reuses the old one, to which the file of a killed process still points.
    """
    most = min(flush, CHUNK_RECORDS)
    divisor = next(n for n in range(most, 0, -1) if flush % n == 0)
    records = divisor if 16 * divisor >= most else flush
    sizes = [records]
    room = max(CHUNK_BYTES // variable.dtype.itemsize // records, 1)
    for size in variable.shape[1:]:
        sizes.append(max(min(size, room), 1))
        room //= sizes[-1]
    return sizes
