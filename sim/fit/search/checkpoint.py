"""A search on disk, from which `fit` goes on bit for bit."""

import os
from typing import Any

from sim import checkpoint
from sim.fit.result import SearchState
from sim.fit.search.batched import BatchState

# Fields of the state of a search, and what an earlier version called them.
EARLIER_NAMES = {
    "fingerprint": "mark",
    "linearisation": "at",
    "location": "where",
    "non_finite": "bad",
    "rejected": "turns",
    "steps_since": "waited",
}


def save(path: str | os.PathLike, search: Any) -> None:
    """Write the ``search`` of a `Fit`; ``path`` always holds a complete one.

    Args:
        path: the file (``.npz``, without pickle), replaced if it is there.
        search: any pytree of arrays.

    Raises:
        OSError: it cannot be written; the message names the file.
    """
    checkpoint.save(path, checkpoint.Checkpoint(search, 0, 0), {"run": "fit"})


def load(path: str | os.PathLike, like: Any) -> Any:
    """Read a search that `save` wrote.

    Args:
        path: the file.
        like: a search of the same problem by the same solver, for its structure: that of
            ``fit(…, steps=0)``.

    Raises:
        ValueError: the file is of another search; the message names what differs.
        OSError: there is no such file, or it holds no search.

    >>> import tempfile, jax.numpy as jnp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/search.npz", {"z": jnp.ones(2)})
    ...     load(f"{folder}/search.npz", {"z": jnp.zeros(2)})["z"].tolist()
    [1.0, 1.0]
    """
    try:
        return _load(path, like)
    except ValueError:
        if not isinstance(like, SearchState | BatchState):
            raise
        try:
            _load(path, like._replace(fingerprint=None))
        except ValueError:
            pass
        else:
            raise ValueError(
                f"{path}: an earlier version wrote it, which did not keep what problem a "
                "search is of: begin anew"
            ) from None
        raise


def _load(path, like):
    return checkpoint.load(path, like, {"run": "fit"}, EARLIER_NAMES).carry
