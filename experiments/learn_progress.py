"""What a training tells while it goes on: a live bar on a terminal, plain lines elsewhere."""

import math
import sys
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

LINE = 10.0  # s between two plain lines, at least


@contextmanager
def progress(members: int, steps: int) -> Iterator[Callable]:
    """Yields ``tell(member, losses, seconds)``, which `learn_search.trained` calls."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = BarColumn(14), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=Console(file=sys.stderr)) as display:
            bar = display.add_task("training", total=members * steps)

            def tell(member, losses, seconds):
                done = member * steps + len(losses) - 1
                display.update(bar, completed=done, description=sentence(member, members, steps, losses))

            yield tell
        return
    last = -math.inf

    def tell(member, losses, seconds):
        nonlocal last
        if clock.monotonic() - last >= LINE:
            last = clock.monotonic()
            print(sentence(member, members, steps, losses), file=sys.stderr, flush=True)

    yield tell


def sentence(member: int, members: int, steps: int, losses: np.ndarray) -> str:
    """Where a training is.

    >>> sentence(0, 1, 9, np.array([[3.0, 2.0], [1.0, 2.5]]))
    'training: step 1 of 9, loss 1, validation 2.5 (best 2 at 0)'
    """
    which = f"member {member + 1} of {members}, " if members > 1 else ""
    said = f"training: {which}step {len(losses) - 1} of {steps}, loss {losses[-1, 0]:.4g}"
    if np.isfinite(losses[:, 1]).any():
        best = int(np.nanargmin(losses[:, 1]))
        said += f", validation {losses[-1, 1]:.4g} (best {losses[best, 1]:.4g} at {best})"
    return said
