"""The carry of a run in a file, which is replaced whole and read only by the same run."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from sim.files import replace_file
from sim.names import leaf_names


class Checkpoint(NamedTuple):
    """The state of a run: its carry, the steps done and the records handed out."""

    carry: Any
    step: int
    records: int


def save(path: str | os.PathLike, state: Checkpoint, run: dict[str, Any]) -> None:
    """Write a checkpoint as ``.npz`` (no pickle) by `sim.files.replace_file`.

    ``path`` always holds a whole checkpoint: a crash leaves the previous one.

    Args:
        path: the file, replaced if it is there; its folder exists.
        state: carry (any pytree of arrays), step and records.
        run: facts that must be equal when it is read again: names to numbers or strings.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    path = Path(path)
    leaves = {f"leaf_{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(state.carry))}
    facts = json.dumps({**run, **_structure(state.carry)})
    try:
        with replace_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, facts=facts, step=state.step, records=state.records, **leaves)
    except OSError as error:
        raise OSError(f"{path}: cannot write the checkpoint: {error.strerror or error}") from error


def load(
    path: str | os.PathLike,
    carry: Any,
    run: dict[str, Any],
    earlier_names: Mapping[str, str] | None = None,
) -> Checkpoint:
    """Read a checkpoint that `save` wrote for this run.

    Args:
        path: the file.
        carry: a carry of the run, for its structure, shapes and dtypes.
        run: as given to `save`.
        earlier_names: names of fields of the carry in an earlier version, whose checkpoints
            are read too.

    Raises:
        ValueError: the checkpoint is of another run; the message names what differs.
        OSError: there is no such file, or it is no checkpoint.
    """
    path = Path(path)
    facts, step, records, stored = _read_arrays(path)
    expected = json.loads(json.dumps({**run, **_structure(carry)}))
    if earlier_names and facts == {**run, **_structure(carry, earlier_names)}:
        facts = expected
    for name in {**expected, **facts}:
        if facts.get(name) != expected.get(name):
            raise ValueError(
                f"checkpoint: {path} is of another run: expected {name} "
                f"{expected.get(name, 'absent')}, got {facts.get(name, 'absent')}"
            )
    leaves, treedef = jax.tree.flatten(carry)
    # A dtype of JAX's own (bfloat16) comes back as plain bytes.
    leaves = [stored[f"leaf_{i}"].view(np.asarray(x).dtype) for i, x in enumerate(leaves)]
    return Checkpoint(treedef.unflatten(leaves), step, records)


def records(path: str | os.PathLike) -> int:
    """The number of records handed out before a checkpoint, from its file.

    Raises:
        OSError: there is no such file, or it is no checkpoint.
    """
    return _read_arrays(Path(path))[2]


def _read_arrays(path):
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as data:
            stored = dict(data)
        facts = json.loads(str(stored.pop("facts")))
        return facts, int(stored.pop("step")), int(stored.pop("records")), stored
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no checkpoint is there") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise OSError(f"{path}: cannot read it as a checkpoint ({error})") from error


def _structure(carry, renamed=None):
    names = leaf_names(carry, "carry", renamed)
    leaves = [np.asarray(x) for x in jax.tree.leaves(carry)]
    return {
        f"carry {name}": f"{x.dtype.name}[{','.join(map(str, x.shape))}]"
        for name, x in zip(names, leaves, strict=True)
    }
