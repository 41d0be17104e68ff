"""How networks are trained: several members side by side, each from its own start."""

import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.identification.config_keys import RECORD_KEYS, reword_error
from experiments.identification.search import PreparedSearch, run_with_checkpoints

MAX_DENSE = 300  # parameters up to which least squares form a Jacobian
SECONDS_BETWEEN_CHECKPOINTS = 3.0
CONFIG_KEYS = RECORD_KEYS | {  # an argument of `sim.fit` or `sim.rnn` to the key that gives it
    "start": "network",
    "starts": "network",
    "parameters": "network.parameters",
    "states": "learn.states",
    "xs": "data.input",
    "warmup": "learn.warmup",
    "steps": "learn.steps",
    "window": "learn.window",
    "patience": "learn.patience",
}


class TrainingOptions(NamedTuple):
    """How to train.

    Attributes:
        steps: passes over the records, or evaluations of least squares, at most.
        patience: steps without a new best after which a member stops.
        states: fixed, at rest; or free, which estimates the initial state of each piece.
        length: samples of each piece of a record; None means whole records.
        warmup: samples at the start of each piece that do not count where states are fixed.
        members: how many networks are trained, each from its own start.
        combine: best keeps the best member; mean keeps all and scores their mean.
        tolerance: the relative fall of the loss that is too small to go on for.
        window: samples through which a gradient goes back; None of least squares.
        batch: pieces in a batch; None means all.
        rate, schedule, clip: of Adam.
    """

    steps: int
    patience: int
    states: str
    length: int | None
    warmup: int
    members: int
    combine: str
    tolerance: float = 0.0
    window: int | None = None
    batch: int | None = None
    rate: float = 0.0
    schedule: str = ""
    clip: float | None = None


def adam(
    passes: int = 200,
    rate: float = 0.01,
    schedule: Literal["cosine", "constant"] = "cosine",
    clip: float | None = 1.0,
    window: int = 100,
    length: int | None = None,
    batch: int | None = None,
    warmup: int = 50,
    states: Literal["fixed", "free"] = "fixed",
    patience: int = 50,
    members: int = 1,
    combine: Literal["best", "mean"] = "best",
) -> TrainingOptions:
    """Truncated back-propagation through time by `sim.fit.solvers.adam`."""
    for name, value in (("rate", rate), ("clip", clip)):
        if value is not None and not value > 0:
            raise ValueError(f"{name}: expected a number above 0, got {value:g}")
    options = TrainingOptions(
        passes,
        patience,
        states,
        length,
        warmup,
        members,
        combine,
        window=window,
        batch=batch,
        rate=rate,
        schedule=schedule,
        clip=clip,
    )
    _check_options(options, passes=passes, window=window, batch=batch)
    return options


def least_squares(
    steps: int = 100,
    tolerance: float = 1e-7,
    length: int | None = None,
    warmup: int = 50,
    states: Literal["fixed", "free"] = "fixed",
    patience: int = 20,
    members: int = 1,
    combine: Literal["best", "mean"] = "best",
) -> TrainingOptions:
    """The method of Levenberg and Marquardt; above `MAX_DENSE` parameters that of Gauss and
    Newton with conjugate gradients."""
    options = TrainingOptions(steps, patience, states, length, warmup, members, combine, tolerance)
    _check_options(options, steps=steps)
    return options


def _check_options(options, **counts):
    """Raise ValueError unless every number is large enough, and a mean has several members."""
    counts |= {
        "length": options.length,
        "patience": options.patience,
        "members": options.members,
    }
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {value}")
    if options.tolerance < 0:
        raise ValueError(f"tolerance: expected a number of at least 0, got {options.tolerance:g}")
    if options.warmup < 0:
        raise ValueError(f"warmup: expected a whole number of at least 0, got {options.warmup}")
    if options.combine == "mean" and options.members == 1:
        raise ValueError("combine: expected best where members is 1, got mean")


def split_records(
    options: TrainingOptions, experiments: Sequence[Any]
) -> tuple[list[Any], tuple[int, ...]]:
    """The pieces that are trained on, and for each the index of the experiment it is from."""
    from sim.rnn import pieces

    warmup = options.warmup if options.states == "fixed" else 0
    parts, index = [], []
    for i, experiment in enumerate(experiments):
        length = options.length or len(experiment.y)
        cut = [experiment]
        if warmup or length < len(experiment.y):
            cut = pieces(experiment, length, warmup=warmup)
        parts += cut
        index += [i] * len(cut)
    return parts, tuple(index)


def prepare_training(
    options: TrainingOptions,
    objective: Any,
    starts: list,
    kinds: Mapping[str, Any],
    pieces: tuple[list[Any], tuple[int, ...]],
    states: Any,
    validation: list,
    seed: int,
) -> PreparedSearch:
    """Make the first evaluation, so that mistakes are found before anything is written.

    Args:
        options: how to train.
        objective: of the network.
        starts: the parameters of each member.
        kinds: constraints and priors, by dotted name.
        pieces: what `split_records` returns.
        states: the initial state of all pieces, or a list with one for each, and for each
            validation experiment at its end.
        validation: experiments that decide which weights are the best.
        seed: of the order of the pieces.

    Raises:
        ValueError: the network and the records do not suit each other; the message names
            the key of the configuration.
    """
    import jax
    import jax.numpy as jnp

    from sim.fit import GaussNewton, Truncated, ensemble
    from sim.fit.problem.errors import TooFewSamples
    from sim.fit.solvers.adam import adam

    tic = clock.perf_counter()
    experiments, record_index = pieces
    solver = None
    if options.window is None:
        if sum(np.size(leaf) for leaf in jax.tree.leaves(starts[0])) > MAX_DENSE:
            solver = GaussNewton()
    else:
        objective = Truncated(objective, options.window, options.batch, seed)
        batches = -(-len(experiments) // (options.batch or len(experiments)))
        windows = -(-max(len(e.y) for e in experiments) // options.window)
        updates = options.steps * batches * windows if options.schedule == "cosine" else None
        solver = adam(options.rate, updates=updates, clip=options.clip)
    stacked = jax.tree.map(lambda *x: jnp.stack(jnp.asarray(x)), *starts)
    arguments = (objective, stacked, experiments)
    settings = {
        "parameters": kinds,
        "states": states,
        "free_states": options.states == "free",
        "solver": solver,
        "validation": validation or None,
        "patience": options.patience,
        "tolerance": options.tolerance,
    }
    try:
        initial = ensemble(*arguments, **settings, steps=0)
    except TooFewSamples as error:
        raise ValueError(
            f"{reword_error(error, CONFIG_KEYS)}; a prior counts as samples do: network.prior; "
            "or a record of its own ends the training in time: data.validation"
        ) from None
    except ValueError as error:
        raise ValueError(reword_error(error, CONFIG_KEYS)) from None
    seconds = clock.perf_counter() - tic
    return PreparedSearch(arguments, settings, initial, seconds, record_index)


def train(
    options: TrainingOptions,
    prepared: PreparedSearch,
    folder: Path,
    resume: bool,
    stop: Callable[[], bool],
    watch: Callable,
) -> tuple[Any, np.ndarray]:
    """Train all members to their end, or until they are stopped.

    Args:
        options: how to train.
        prepared: the first evaluation.
        folder: where the checkpoint is.
        resume: whether to go on from the checkpoint.
        stop: whether the training must end after this step.
        watch: ``watch(losses)`` sees the losses so far whenever the state is saved.

    Returns:
        The `sim.fit.search.ensemble.Ensemble`, and the losses (steps + 1, members, 2) of
        training and validation for each sample that counts; NaN without validation.

    Raises:
        ValueError: the checkpoint is of another network.
    """
    from sim.fit import ensemble

    samples = count_samples(prepared.arguments[2])
    samples_held_out = max(count_samples(prepared.settings["validation"] or []), 1)
    last_save = -math.inf

    def is_due(step):
        nonlocal last_save
        due = clock.perf_counter() - last_save >= SECONDS_BETWEEN_CHECKPOINTS
        if due:
            last_save = clock.perf_counter()
        return due

    def loss_row(loss, validation):
        validation = np.full(np.shape(loss), np.nan) if validation is None else validation
        return np.stack([loss / samples, validation / samples_held_out], axis=1)

    return run_with_checkpoints(
        ensemble, prepared, options.steps, folder, resume, stop, is_due, loss_row, watch
    )


def count_samples(experiments: Sequence[Any]) -> int:
    """How many samples of the experiments are not missing."""
    return sum(
        int(np.isfinite(np.asarray(y)).sum())
        for experiment in experiments
        for y in (experiment.y, experiment.y0)
        if y is not None
    )
