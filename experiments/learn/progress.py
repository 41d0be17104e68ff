"""The progress of a training: a live bar on a terminal, plain lines elsewhere."""

import math
import sys
import time as clock
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

SECONDS_BETWEEN_LINES = 10.0  # between two plain lines, at least


@contextmanager
def show_progress(steps: int) -> Iterator[Callable]:
    """Yield ``show(losses)``, which shows the losses so far, (steps + 1, members, 2)."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = BarColumn(14), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=Console(file=sys.stderr)) as display:
            bar = display.add_task("training", total=steps)

            def show(losses):
                display.update(
                    bar, completed=len(losses) - 1, description=progress_sentence(steps, losses)
                )

            yield show
        return
    last = -math.inf

    def show(losses):
        nonlocal last
        if clock.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = clock.monotonic()
            print(progress_sentence(steps, losses), file=sys.stderr, flush=True)

    yield show


def progress_sentence(steps: int, losses: np.ndarray) -> str:
    """The step and the losses of a training; each is the least of all members.

    >>> progress_sentence(9, np.array([[[3.0, 2.0]], [[1.0, 2.5]]]))
    'training: step 1 of 9, loss 1, validation 2.5 (best 2 at 0)'
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN, without a validation
        loss, validation = np.nanmin(losses, axis=1).T
    sentence = f"training: step {len(losses) - 1} of {steps}, loss {loss[-1]:.4g}"
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        sentence += f", validation {validation[-1]:.4g} (best {validation[best]:.4g} at {best})"
    return sentence
