"""A long run to a NetCDF file, chunk by chunk, against writing the arrays alone."""

import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np

from benchmarks.measure import Timed, Work
from integrators import rk4
from sim import rollout
from sim.models import lorenz
from sim.netcdf import writer
from sim.stream import default_chunk, stream
from sim.trajectory import trajectory


def netcdf(steps=10**7, dt=1e-3):
    """Lorenz, RK4, every step in the file, the initial state first; compiling excluded.

    The peer writes the same arrays, computed before, with netCDF4 alone: the same types,
    compression, chunks in the file and records per flush, and a sync after each.
    """
    folder = tempfile.TemporaryDirectory()
    model = lorenz.model()
    stepper = rk4(model.field, dt)
    carry = stepper.init(model.initial)
    flush = default_chunk(stepper.step, carry, length=steps)
    label = partial(trajectory, dt=dt, quantities=model.quantities)
    initial = label(jax.tree.map(lambda y: np.full(1, y, float), model.initial), first=0)

    def ours(path):
        with writer(path, flush=flush) as append:
            append(0, initial)
            end = stream(
                stepper.step,
                carry,
                length=steps,
                chunk=flush,
                sink=lambda first, ys: append(first + 1, label(ys, first=first + 1)),
            )
        return end.compile_seconds

    def netcdf4():
        import netCDF4

        settings = _settings(Path(folder.name) / "settings.nc", initial, flush)
        arrays = {"time": np.arange(steps + 1) * dt}
        # The Lorenz system amplifies rounding, so the parameters are arguments, as in stream.
        _, ys = jax.jit(partial(rollout, length=steps))(stepper.step, carry)
        for name, y in ys._asdict().items():
            arrays[name] = np.concatenate([initial[name].values, y])

        def write(path):
            with netCDF4.Dataset(path, "x", format="NETCDF4") as file:
                file.createDimension("time", None)
                for name, options in settings.items():
                    variable = file.createVariable(name, "f8", ("time",), **options)
                    variable.set_auto_maskandscale(False)
                for first in range(0, steps + 1, flush):
                    end = min(first + flush, steps + 1)
                    for name in settings:
                        file[name][first:end] = arrays[name][first:end]
                    file.sync()
            return 0.0

        return _time_writer(write, Path(folder.name) / "netcdf4.nc")

    return Work(
        unit="s",
        scale=1.0,
        ours=lambda: _time_writer(ours, Path(folder.name) / "ours.nc"),
        peers={"netcdf4": netcdf4},
        compare=same_contents,
        close=folder.cleanup,
    )


def _time_writer(write, path):
    """A run of ``write(path)``, which returns the seconds not to count; the result is the path."""

    def run():
        path.unlink(missing_ok=True)
        tic = time.perf_counter()
        aside = write(path)
        return Timed(time.perf_counter() - tic - aside, path)

    return run


def _settings(path, initial, flush):
    """The arguments of createVariable of our writer, read back from a file of one record."""
    import netCDF4

    with writer(path, flush=flush) as append:
        append(0, initial)
    with netCDF4.Dataset(path) as file:
        return {
            name: {
                "compression": "zlib" if variable.filters()["zlib"] else None,
                "complevel": variable.filters()["complevel"],
                "shuffle": variable.filters()["shuffle"],
                "chunksizes": variable.chunking(),
                "fill_value": getattr(variable, "_FillValue", None),
            }
            for name, variable in file.variables.items()
        }


def same_contents(ours, peer):
    """The differences of two files in variables, storage or values, or None."""
    import netCDF4

    with netCDF4.Dataset(ours) as a, netCDF4.Dataset(peer) as b:
        if set(a.variables) != set(b.variables):
            return f"expected variables {sorted(a.variables)}, got {sorted(b.variables)}"
        for name in a.variables:
            x, y = a[name], b[name]
            if (x.filters(), x.chunking()) != (y.filters(), y.chunking()):
                return f"{name} is not stored alike"
            if not np.array_equal(x[:], y[:]):
                return f"{name} has other values"
    return None


ROWS = {"stream.netcdf": netcdf}
