"""Every file that a run replaces is whole, on the disk, and the old one until then."""

import os
import stat
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from experiments.records.dataset_file import write_dataset
from experiments.runs.directory import write_json
from experiments.runs.metrics import write_metrics
from sim import checkpoint, files, rnn
from sim.files import replace_file
from sim.fit import save
from sim.trajectory import trajectory


def write_text(path, text="whole"):
    with replace_file(path) as temporary:
        temporary.write_text(text)


WRITERS = {
    "text": write_text,
    "checkpoint": lambda path: checkpoint.save(path, checkpoint.Checkpoint(jnp.ones(2), 1, 1), {}),
    "search": lambda path: save(path, {"z": jnp.ones(2)}),
    "network": lambda path: rnn.save(path, rnn.gru_params(jax.random.key(0), 1, 2)),
    "dataset": lambda path: write_dataset(path, trajectory({"y": jnp.ones(3)}, dt=0.1), {}),
    "run.json": lambda path: write_json(path, {"status": "running"}),
    "metrics": lambda path: write_metrics(path, {"rmse": {"y": 1.0}}, {}),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_the_file_then_its_name_then_the_folder_reach_the_disk(write, tmp_path, monkeypatch):
    events, fsync, rename = [], os.fsync, os.replace

    def note_sync(handle):
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def note_rename(source, target):
        events.append("name")
        rename(source, target)

    monkeypatch.setattr(files.os, "fsync", note_sync)
    monkeypatch.setattr(files.os, "replace", note_rename)
    path = tmp_path / "a.file"
    write(path)
    assert events[-3:] == ["file", "name", "folder"]
    assert path.stat().st_size and [file.name for file in tmp_path.iterdir()] == ["a.file"]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_leaves_the_old_file_whole(write, tmp_path, monkeypatch):
    path = tmp_path / "a.file"
    path.write_text("old")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_no_obstacle(tmp_path):
    Path(tmp_path, "a.txt.part").write_text("half")
    write_text(tmp_path / "a.txt")
    assert Path(tmp_path, "a.txt").read_text() == "whole"
    assert not Path(tmp_path, "a.txt.part").exists()
