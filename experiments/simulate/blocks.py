"""A long table of rows that is made as it is read, a block at a time."""

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

BLOCK_SIZE = 2**16
Rows = Callable[[range], Any]


def rows_by_block(make: Callable[[int, int], Any], length: int, *, block: int, kept: int) -> Rows:
    """``rows(k)``, for a range of indices k, of a table that is never held whole.

    The blocks are the same whatever is asked, so a row does not depend on what it is
    read with: a run has the same input in chunks of any length.

    Args:
        make: ``make(start, stop)`` gives the rows start, start + 1, … up to at least
            stop − 1, as a pytree of NumPy arrays.
        length: the steps of the run. A row ``length``, if there is one, is the last of
            the last block.
        block: rows in each block.
        kept: blocks that are kept for the next call.

    >>> rows = rows_by_block(lambda start, stop: np.arange(start, stop + 1) ** 2, 6, block=4, kept=1)
    >>> rows(range(0, 7, 3)).tolist()
    [0, 9, 36]
    """
    import jax

    made = lru_cache(kept)(lambda i: make(i * block, min((i + 1) * block, length)))

    def rows(k):
        parts = []
        while k:
            i = min(k[0], length - 1) // block
            end = bisect_left(k, (i + 1) * block) if (i + 1) * block < length else len(k)
            at = slice(k[0] - i * block, k[end - 1] + 1 - i * block, k.step)
            parts.append(jax.tree.map(lambda x, at=at: x[at], made(i)))
            k = k[end:]
        return jax.tree.map(lambda *x: np.concatenate(x), *parts)

    return rows


def rows_in_memory(u: np.ndarray) -> Rows:
    """``rows(k)`` of an array that is held whole.

    >>> rows_in_memory(np.array([1.0, 2.0, 3.0]))(range(0, 3, 2)).tolist()
    [1.0, 3.0]
    """
    return lambda k: u[k.start : k.stop : k.step]
