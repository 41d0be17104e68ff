"""How networks are trained: side by side from starts of their own, stopped between steps, resumed."""

import time as clock
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.fit.search import CONFIG_KEYS

MAX_DENSE = 300  # parameters up to which least squares form a Jacobian
SECONDS_BETWEEN_CHECKPOINTS = 3.0  # s between two checkpoints, about
CONFIG_KEYS = CONFIG_KEYS | {
    "start": "network",
    "parameters": "network.parameters",
    "states": "learn.states",
    "xs": "data.input",
    "warmup": "learn.warmup",
    "steps": "learn.steps",
    "window": "learn.window",
    "patience": "learn.patience",
}


class TrainingOptions(NamedTuple):
    """How to train: see `adam` and `least_squares`; ``window`` is None of the latter."""

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
    how = TrainingOptions(
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
    return _check_options(how, passes=passes, window=window, batch=batch)


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
    """Levenberg and Marquardt; conjugate gradients where the parameters are more than `MAX_DENSE`."""
    how = TrainingOptions(steps, patience, states, length, warmup, members, combine, tolerance)
    return _check_options(how, steps=steps)


def _check_options(how, **counts):
    counts |= {name: getattr(how, name) for name in ("length", "patience", "members")}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {value}")
    if how.tolerance < 0:
        raise ValueError(f"tolerance: expected a number of at least 0, got {how.tolerance:g}")
    if how.warmup < 0:
        raise ValueError(f"warmup: expected a whole number of at least 0, got {how.warmup}")
    if how.combine == "mean" and how.members == 1:
        raise ValueError("combine: expected best where members is 1, got mean")
    return how


def split_records(how: TrainingOptions, experiments: Sequence[Any]) -> tuple[list, list[int]]:
    """The experiments as they are trained on, and of each which of the given ones it is from."""
    from sim.rnn import pieces

    warmup = how.warmup if how.states == "fixed" else 0
    found, of = [], []
    for i, e in enumerate(experiments):
        each = [e]
        if warmup or (how.length or len(e.y)) < len(e.y):
            each = pieces(e, how.length or len(e.y), warmup=warmup)
        found += each
        of += [i] * len(each)
    return found, of


class PreparedTraining(NamedTuple):
    """Networks at their start: what `sim.fit.search.ensemble` takes, and an ensemble of no steps."""

    arguments: tuple
    settings: Mapping[str, Any]
    found: Any


def prepare_training(
    how: TrainingOptions,
    objective: Any,
    starts: list,
    kinds: Mapping[str, Any],
    experiments: list,
    states: Any,
    validation: list,
    seed: int,
) -> PreparedTraining:
    """Make the first evaluation, so that what is wrong is said before anything is written.

    Args:
        how, objective, starts, kinds: with what to begin, each member from its own start.
        experiments: as `split_records` gives them.
        states: the initial state of all, or a list with those of the validation at its end.
        validation: experiments that decide which weights are the best.
        seed: of the order of pieces.

    Raises:
        ValueError: in words of the configuration.
    """
    import jax
    import jax.numpy as jnp

    from sim.fit import GaussNewton, Truncated, ensemble
    from sim.fit.solvers.adam import adam

    solver = None
    if how.window is None:
        if sum(np.size(leaf) for leaf in jax.tree.leaves(starts[0])) > MAX_DENSE:
            solver = GaussNewton()
    else:
        objective = Truncated(objective, how.window, how.batch, seed)
        batches = -(-len(experiments) // (how.batch or len(experiments)))
        windows = -(-max(len(e.y) for e in experiments) // how.window)
        updates = how.steps * batches * windows if how.schedule == "cosine" else None
        solver = adam(how.rate, updates=updates, clip=how.clip)
    arguments = (
        objective,
        jax.tree.map(lambda *x: jnp.stack(jnp.asarray(x)), *starts),
        experiments,
    )
    settings = {
        "parameters": kinds,
        "states": states,
        "free_states": how.states == "free",
        "solver": solver,
        "validation": validation or None,
        "patience": how.patience,
        "tolerance": how.tolerance,
    }
    try:
        return PreparedTraining(arguments, settings, ensemble(*arguments, **settings, steps=0))
    except ValueError as error:
        few = ""
        if "than unknowns" in str(error):
            few = (
                "; a prior counts as samples do: network.prior; or a record of its own ends the training "
                "in time: data.validation"
            )
        raise ValueError(reword_error(error) + few) from None


def reword_error(error: Exception) -> str:
    """A message of `sim.fit` or `sim.rnn` with the key of the configuration in front.

    >>> reword_error(ValueError("warmup: expected less"))
    'learn.warmup: expected less'
    """
    name, colon, rest = str(error).partition(":")
    return f"{CONFIG_KEYS.get(name, name)}{colon}{rest}"


class Checkpoint(NamedTuple):
    """What a checkpoint holds: the search, and after each of its steps the losses of all members
    on training and validation (steps + 1, members, 2)."""

    search: Any
    losses: np.ndarray


class TrainedMembers(NamedTuple):
    """Members as they ended.

    Attributes:
        found: a `sim.fit.search.ensemble.Ensemble`.
        losses: (steps + 1, members, 2), of training and validation, for each sample that
            counts; NaN without a validation.
    """

    found: Any
    losses: np.ndarray


def train(
    how: TrainingOptions,
    problem: PreparedTraining,
    folder: Path,
    resume: bool,
    stop: Callable,
    tell: Callable,
) -> TrainedMembers:
    """All members side by side, to their end or to where they were stopped.

    Args:
        how, problem: what was begun.
        folder: of the checkpoint.
        resume: whether to go on from it.
        stop: asked between two checkpoints.
        tell: told there the losses so far.

    Raises:
        ValueError: the checkpoint is of another architecture.
    """
    from sim.fit import ensemble, load, save

    path = folder / "latest.npz"
    path.parent.mkdir(exist_ok=True)
    found, first = problem.found, _losses_per_sample(problem, problem.found)
    losses = np.full((how.steps + 1, *first.shape[1:]), np.nan)
    losses[0] = first[0]
    kept = Checkpoint(found.search, losses)
    if resume:
        kept = load(path, kept)
    else:
        save(path, kept)
    done, count = -1, 1
    while not stop() and done != (at := int(np.max(kept.search.search.steps))):
        tic, done = clock.perf_counter(), at
        # Each step is the same whatever checkpoint stands between.
        found = ensemble(
            *problem.arguments,
            **problem.settings,
            steps=min(done + count, how.steps),
            search=kept.search,
        )
        new = _losses_per_sample(problem, found)
        kept.losses[done + 1 : done + len(new)] = new[1:]
        kept = Checkpoint(found.search, kept.losses)
        save(path, kept)
        tell(kept.losses[: done + len(new)])
        took = clock.perf_counter() - tic
        count = int(np.clip(count * SECONDS_BETWEEN_CHECKPOINTS / took, 1, 2 * count))
    steps = int(np.max(kept.search.search.steps))
    return TrainedMembers(found, kept.losses[: steps + 1])


def _losses_per_sample(problem, found):
    """Of training and validation for each sample that counts, (steps + 1, members, 2)."""
    held = problem.settings["validation"] or []
    seen = np.full(found.loss.shape, np.nan) if found.validation is None else found.validation
    return np.stack(
        [found.loss / count_samples(problem.arguments[2]), seen / max(count_samples(held), 1)],
        axis=2,
    )


def count_samples(experiments: Sequence[Any]) -> int:
    """How many numbers of the experiments count."""
    return sum(
        int(np.isfinite(np.asarray(y)).sum())
        for e in experiments
        for y in (e.y, e.y0)
        if y is not None
    )
