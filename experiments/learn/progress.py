"""What a training tells while it goes on: a live bar on a terminal, plain lines elsewhere."""

import math
import sys
import time as clock
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

SECONDS_BETWEEN_LINES = 10.0  # s between two plain lines, at least


@contextmanager
def show_progress(steps: int) -> Iterator[Callable]:
    """Yields ``tell(losses)``, which `learn_search.trained` calls."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = BarColumn(14), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=Console(file=sys.stderr)) as display:
            bar = display.add_task("training", total=steps)

            def tell(losses):
                display.update(
                    bar, completed=len(losses) - 1, description=progress_sentence(steps, losses)
                )

            yield tell
        return
    last = -math.inf

    def tell(losses):
        nonlocal last
        if clock.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = clock.monotonic()
            print(progress_sentence(steps, losses), file=sys.stderr, flush=True)

    yield tell


def progress_sentence(steps: int, losses: np.ndarray) -> str:
    """Where a training is: of several members the least of each loss.

    >>> progress_sentence(9, np.array([[[3.0, 2.0]], [[1.0, 2.5]]]))
    'training: step 1 of 9, loss 1, validation 2.5 (best 2 at 0)'
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN, without a validation
        loss, seen = np.nanmin(losses, axis=1).T
    said = f"training: step {len(losses) - 1} of {steps}, loss {loss[-1]:.4g}"
    if np.isfinite(seen).any():
        best = int(np.nanargmin(seen))
        said += f", validation {seen[-1]:.4g} (best {seen[best]:.4g} at {best})"
    return said
