"""A long table of rows that is made block by block, as it is read."""

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

BLOCK_SIZE = 2**16
Rows = Callable[[range], Any]


def rows_by_block(make: Callable[[int, int], Any], length: int, *, block: int, kept: int) -> Rows:
    """``rows(k)``, for a range of indices k, of a table that is never in memory as a whole.

    The blocks do not depend on the indices, and so a row does not depend on the rows that are
    read with it: a run has the same input in chunks of any length.

    Args:
        make: ``make(start, stop)`` returns the rows start, …, stop − 1, and may return the row
            stop, as a pytree of NumPy arrays.
        length: the steps of the run. A row ``length``, if there is one, is the last of
            the last block.
        block: rows in each block.
        kept: the number of blocks that are kept for the next call.

    >>> squares = lambda start, stop: np.arange(start, stop + 1) ** 2
    >>> rows = rows_by_block(squares, 6, block=4, kept=1)
    >>> rows(range(0, 7, 3)).tolist()
    [0, 9, 36]
    """
    import jax

    make_block = lru_cache(kept)(lambda i: make(i * block, min((i + 1) * block, length)))

    def rows(k):
        parts = []
        while k:
            i = min(k[0], length - 1) // block
            end = bisect_left(k, (i + 1) * block) if (i + 1) * block < length else len(k)
            part = slice(k[0] - i * block, k[end - 1] + 1 - i * block, k.step)
            parts.append(jax.tree.map(lambda x, part=part: x[part], make_block(i)))
            k = k[end:]
        return jax.tree.map(lambda *x: np.concatenate(x), *parts)

    return rows


def rows_in_memory(u: np.ndarray) -> Rows:
    """``rows(k)`` of an array in memory.

    >>> rows_in_memory(np.array([1.0, 2.0, 3.0]))(range(0, 3, 2)).tolist()
    [1.0, 3.0]
    """
    return lambda k: u[k.start : k.stop : k.step]
