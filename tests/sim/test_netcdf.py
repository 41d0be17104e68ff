"""The file: appended to chunk by chunk, whole after each, resumable, and CF compliant."""

import shutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import netCDF4
import numpy as np
import pytest
import xarray

from sim.models.model import Quantity
from sim.netcdf import read, writer
from sim.stream import stream
from sim.trajectory import trajectory
from tests.compliance import TIME_IS_ELAPSED, complaints

DT = 0.1
QUANTITIES = {
    "position": Quantity("m", "position of the mass"),
    "level": Quantity("V", "level of the tank"),
    "level_measured": Quantity("V", "measured level of the tank"),
}


class State(NamedTuple):
    position: jax.Array
    level: jax.Array


def step(state, x):
    state = State(state.position * 0.9, state.level + 0.5)
    return state, state


START = State(jnp.asarray([1.0, 2.0]), jnp.asarray(0.0))


def label(ys, first, **more):
    return trajectory(ys, dt=DT, first=first, quantities=QUANTITIES, **more)


def write(path, length, *, resume=False, stop=None, attributes=None):
    """The way a run writes: initial state, then chunk by chunk, with a checkpoint."""
    attributes = {"config": "model: tank\nseed: 3\n", "config_hash": "a1", **(attributes or {})}
    with writer(path, flush=10, attributes=attributes, resume=resume) as append:
        if not resume:
            append(0, label(jax.tree.map(lambda y: np.asarray(y)[None], START), 0))
        stream(
            step,
            START,
            length=length,
            chunk=10,
            resume=resume,
            stop=stop,
            sink=lambda first, ys: append(first + 1, label(ys, first + 1)),
            checkpoint=path.with_suffix(".npz"),
        )


def some(n, first=0):
    return trajectory({"x": np.arange(first, first + n, dtype=float)}, dt=DT, first=first)


def test_a_run_reads_back_with_its_labels(tmp_path):
    write(tmp_path / "a.nc", 25, attributes={"seed": 3, "dt": DT, "commit": None, "flag": True})
    dataset = read(tmp_path / "a.nc")
    np.testing.assert_array_equal(dataset.time, np.arange(26) * DT)
    np.testing.assert_array_equal(dataset.level, np.arange(26) * 0.5)
    assert dataset.position.dims == ("time", "position_index")
    assert dataset.time.dtype == np.float64
    assert dataset.time.attrs["units"] == "s"
    assert dataset.level.attrs["long_name"] == "level of the tank"
    assert dataset.attrs["Conventions"] == "CF-1.11"
    assert dataset.attrs["config"] == "model: tank\nseed: 3\n"
    assert (dataset.attrs["seed"], dataset.attrs["flag"]) == (3, "True")
    assert {"title", "source", "history", "versions"} <= set(dataset.attrs)
    assert "commit" not in dataset.attrs
    with xarray.open_dataset(tmp_path / "a.nc", engine="netcdf4") as plain:
        xarray.testing.assert_identical(plain.load(), dataset)


def test_the_format_is_the_designs(tmp_path):
    write(tmp_path / "a.nc", 25)
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file.data_model == "NETCDF4"
        assert file.dimensions["time"].isunlimited()
        assert "_FillValue" not in file["time"].ncattrs()
        for name in ("time", "level", "position"):
            filters = file[name].filters()
            assert (filters["zlib"], filters["complevel"], filters["shuffle"]) == (True, 1, True)
        assert file["time"].chunking() == [10]
        assert file["position"].chunking() == [10, 2]


@pytest.mark.parametrize(("records", "members"), [(10**6, 3), (2000, 5000)])
def test_hdf5_chunks_are_bounded(tmp_path, records, members):
    y = {"x": np.zeros((1, members))}
    with writer(tmp_path / "a.nc", flush=records) as append:
        append(0, trajectory(y, dt=DT, first=0, ensemble=True))
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        time, member = file["x"].chunking()
        assert time * member * 8 <= 2**20
        assert min(records, 2**13) <= time <= 2**14 or time == records


@pytest.mark.parametrize("flush", [100_000, 25_000, 99_991, 7])
def test_a_flush_ends_where_a_chunk_ends(tmp_path, flush):
    """Else the next one moves records that a checkpoint counts on, and a kill loses them."""
    with writer(tmp_path / "a.nc", flush=flush) as append:
        append(0, some(1))
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        for variable in file.variables.values():
            assert flush % variable.chunking()[0] == 0


def test_part_of_a_file_is_read(tmp_path):
    with writer(tmp_path / "a.nc", flush=4) as append:
        append(0, some(8))
    assert read(tmp_path / "a.nc", slice(2, 4)).x.values.tolist() == [2, 3]


def test_a_stopped_run_resumes_to_the_same_file(tmp_path):
    write(tmp_path / "whole.nc", 45)
    write(tmp_path / "parts.nc", 45, stop=iter([False, True]).__next__)
    assert read(tmp_path / "parts.nc").sizes["time"] == 20
    write(tmp_path / "parts.nc", 45, resume=True)
    whole, parts = read(tmp_path / "whole.nc"), read(tmp_path / "parts.nc")
    assert "resumed" in parts.attrs.pop("history").splitlines()[1]
    del whole.attrs["history"]
    xarray.testing.assert_identical(parts, whole)


def test_what_a_kill_leaves_is_readable_and_resumes(tmp_path):
    """A copy of the open file is what a process killed after an append leaves behind."""
    killed = tmp_path / "killed.nc"
    with writer(tmp_path / "a.nc", flush=4) as append:
        append(0, some(4))
        append(4, some(4, 4))
        shutil.copy(tmp_path / "a.nc", killed)
    assert read(killed).x.values.tolist() == list(range(8))
    with writer(killed, flush=4, resume=True) as append:
        append(4, some(4, 4))  # past the checkpoint: written again
        append(8, some(2, 8))
    dataset = read(killed)
    assert dataset.x.values.tolist() == list(range(10))
    assert (np.diff(dataset.time) > 0).all()


def test_an_exception_keeps_what_was_appended(tmp_path):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "a.nc", flush=4) as append:
        append(0, some(4))
        raise KeyboardInterrupt
    assert read(tmp_path / "a.nc").sizes["time"] == 4


def test_a_file_is_never_overwritten_and_failures_name_it(tmp_path):
    def use(path, **settings):
        with writer(path, flush=4, **settings) as append:
            append(0, some(4))

    use(tmp_path / "a.nc")
    before = (tmp_path / "a.nc").read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.nc: the file exists, and is never overwritten"):
        use(tmp_path / "a.nc")
    assert (tmp_path / "a.nc").read_bytes() == before
    with pytest.raises(FileNotFoundError, match=r"nowhere/a\.nc: there is no folder"):
        use(tmp_path / "nowhere" / "a.nc")
    with pytest.raises(FileNotFoundError, match=r"b\.nc: cannot open the file: there is no such"):
        use(tmp_path / "b.nc", resume=True)
    assert not (tmp_path / "b.nc").exists()
    (tmp_path / "junk.nc").write_text("not a file of this kind")
    with pytest.raises(OSError, match=r"junk\.nc: cannot open the file: .*[Uu]nknown"):
        use(tmp_path / "junk.nc", resume=True)
    with pytest.raises(OSError, match=r"junk\.nc: cannot read the file: .*[Uu]nknown"):
        read(tmp_path / "junk.nc")
    with pytest.raises(FileNotFoundError, match=r"b\.nc: cannot read the file"):
        read(tmp_path / "b.nc")
    with pytest.raises(ValueError, match="of another run: expected config_hash b2, got None"):
        use(tmp_path / "a.nc", resume=True, attributes={"config_hash": "b2"})


def test_a_full_disk_is_one_error_and_keeps_the_rest(tmp_path):
    resource = pytest.importorskip("resource", reason="needs POSIX limits on file size")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).normal(size=(30, 1000))
    full = pytest.raises(OSError, match=r"a\.nc: cannot write the file: .* MB free there")
    with full, writer(tmp_path / "a.nc", flush=1000) as append:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
            for i, x in enumerate(noise):
                append(1000 * i, trajectory({"x": x}, dt=DT, first=1000 * i))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_array_equal(read(tmp_path / "a.nc").x[:1000], noise[0])


def test_appending_says_what_does_not_fit(tmp_path):
    with writer(tmp_path / "a.nc", flush=4) as append:
        append(0, some(4))
        with pytest.raises(ValueError, match="first: expected at most 4, the records in"):
            append(6, some(4, 6))
        with pytest.raises(ValueError, match="dataset: expected time to go on from record 3"):
            append(4, some(4, 2))
        with pytest.raises(ValueError, match=r"expected variables \['time', 'x'\], got .*'z'"):
            append(4, some(4, 4).rename(x="z"))
        append(4, some(4, 4))
    assert read(tmp_path / "a.nc").sizes["time"] == 8


def test_every_file_is_cf_compliant_but_for_the_name_of_elapsed_time(tmp_path):
    """Scalars, vectors, matrices, members, measurements with gaps, flags, no metadata."""
    states = State(np.zeros((6, 3, 2)), np.zeros((6, 3)))
    signals = {"level_measured": np.full(6, np.nan), "hit": np.zeros(6, bool)}
    written = {
        "single": label(jax.tree.map(lambda y: y[:, 0], states), 0, signals=signals),
        "members": label(states, 0, ensemble=True, signals=signals),
        "unnamed": trajectory((np.zeros((6, 2, 2)), np.zeros(6, np.float32)), dt=DT),
    }
    for name, dataset in written.items():
        path = tmp_path / f"{name}.nc"
        with writer(path, flush=6, attributes={"config": "a: 1\n", "dt": DT}) as append:
            append(0, dataset)
        assert complaints(path) == TIME_IS_ELAPSED, name
