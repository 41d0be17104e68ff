"""A search that is prepared before its run, saves its state while it runs, and can go on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class PreparedSearch(NamedTuple):
    """A search whose first evaluation has been made.

    Attributes:
        arguments, settings: what `sim.fit.fit` or `sim.fit.ensemble` takes.
        initial: what it returns after no steps; None for a search that saves no state.
        seconds: how long the first evaluation took.
        record_index: for each experiment of the search, the training record that it is of.
    """

    arguments: tuple
    settings: Mapping[str, Any]
    initial: Any
    seconds: float
    record_index: tuple[int, ...]


class Checkpoint(NamedTuple):
    """What is saved: the state of the search, and the losses after each evaluation."""

    search: Any
    losses: np.ndarray


def run_with_checkpoints(
    search: Callable,
    prepared: PreparedSearch,
    steps: int,
    folder: Path,
    resume: bool,
    stop: Callable[[], bool],
    is_due: Callable[[int], bool],
    loss_row: Callable = lambda loss, validation: loss,
    watch: Callable = lambda losses: None,
) -> tuple[Any, np.ndarray]:
    """Run a search to its end, or until it is stopped, and save its state on the way.

    Args:
        search: `sim.fit.fit` or `sim.fit.ensemble`.
        prepared: what it takes, and its state after no steps.
        steps: evaluations at most.
        folder: where the checkpoint is.
        resume: whether to go on from the checkpoint.
        stop: whether the search must end after this evaluation.
        is_due: ``is_due(step)``, whether to save the state after this evaluation.
        loss_row: ``loss_row(loss, validation)``, what is kept of the losses.
        watch: ``watch(losses)`` sees the losses so far whenever the state is saved.

    Returns:
        What the search returns, and the losses (evaluations + 1, …).

    Raises:
        ValueError: the checkpoint is of another search.
    """
    from sim.fit import load, save

    path = folder / "latest.npz"
    path.parent.mkdir(exist_ok=True)
    initial = prepared.initial
    validation = None if initial.validation is None else initial.validation[0]
    first = loss_row(initial.loss[0], validation)
    losses = np.full((steps + 1, *np.shape(first)), np.nan)
    losses[0] = first
    checkpoint = Checkpoint(initial.search, losses)
    if resume:
        checkpoint = load(path, checkpoint)
    else:
        save(path, checkpoint)
    losses = checkpoint.losses

    def on_state(state, loss, validation):
        step = _count_steps(state)
        losses[step] = loss_row(loss, validation)
        if stop() or is_due(step):
            save(path, Checkpoint(state, losses))
            watch(losses[: step + 1])
        return stop()

    result = search(
        *prepared.arguments,
        **prepared.settings,
        steps=steps,
        search=checkpoint.search,
        on_state=on_state,
    )
    save(path, Checkpoint(result.search, losses))
    return result, losses[: _count_steps(result.search) + 1]


def _count_steps(state) -> int:
    return int(np.max(state.search.steps))
