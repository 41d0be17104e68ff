"""The search for parameters: begun before a run is, stopped between evaluations, and resumed."""

import signal
import time as clock
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.cli.messages import suggest

EVALUATIONS_BETWEEN_CHECKPOINTS = 5  # evaluations between two checkpoints
CONFIG_KEYS = {  # an argument of `sim.fit`, and what it is in a configuration
    "parameters": "fit.parameters",
    "start": "model.params",
    "experiments": "data",
    "states": "fit.states",
    "state_kinds": "fit.parameters.states",
    "guess": "model.initial",
    "n": "data: known",
    "y": "data.output",
    "segments": "fit.segments",
    "stages": "fit.stages",
    "starts": "fit.starts",
    "steps": "fit.steps",
    "width": "fit.width",
    "u": "data.input",
    "t": "data.time",
    "observe": "data.observed",
    "profile": "fit.profile",
}


class PreparedSearch(NamedTuple):
    """A problem that was held against the data, and the seconds that this took.

    Attributes:
        arguments, settings: as `sim.fit.search.fit` takes them.
        found: a fit of no steps, where the search is one that can be resumed; or None.
    """

    arguments: tuple
    settings: Mapping[str, Any]
    found: Any
    seconds: float


class Checkpoint(NamedTuple):
    """What a checkpoint holds: the search, and the loss after each evaluation."""

    search: Any
    losses: np.ndarray


class Interrupted(Exception):
    """A signal came during a search that keeps no checkpoint."""


def prepare_search(
    how: Any, objective: Any, start: Any, state: Any, experiments: list, known: list[int]
) -> PreparedSearch:
    """Make the first evaluation, so that what is wrong is said before anything is written.

    Args:
        how: the `Search`.
        objective, start, state, experiments: of `sim.fit.search.fit`; one state for all.
        known: samples at the start of each experiment, for ``states`` first.

    Raises:
        ValueError: in words of the configuration.
    """
    from sim.fit import fit, initial_state
    from sim.fit.problem.assemble import build_problem
    from sim.fit.search.stages import check_stages

    tic = clock.perf_counter()
    states = [state] * len(experiments)
    arguments = (objective, start, experiments)
    kinds = dict(how.parameters)
    of_states = {} if hasattr(start, "states") else kinds.pop("states", {})
    settings: dict = {
        "parameters": kinds,
        "state_kinds": of_states,
        "steps": how.steps,
        "tolerance": how.tolerance,
    }
    try:
        if how.states == "first":
            each = zip(experiments, known, strict=True)
            states = [initial_state(objective, start, e, n, state) for e, n in each]
        settings["states"] = states
        found = None
        _check_profile(how.profile, start, kinds)
        if how.stages:
            check_stages(how.stages, start, kinds)
        longest = max(len(e.y) for e in experiments)
        if how.segments > longest:
            raise ValueError(
                f"segments: expected at most the {longest} steps of the longest experiment, got "
                f"{how.segments}"
            )
        if how.starts > 1 or how.segments > 1:
            build_problem(*arguments, kinds, states, state_kinds=of_states)
        else:
            settings["free_states"] = how.states == "free"
            found = fit(*arguments, **(settings | {"steps": 0}))
            found = None if how.stages else found
    except ValueError as error:
        raise ValueError(reword_error(error)) from None
    return PreparedSearch(arguments, settings, found, clock.perf_counter() - tic)


def _check_profile(names, start, kinds):
    from sim.fit.parameters.vector import free_names, parameter_layout

    for name in names:
        known = free_names(parameter_layout(start, kinds)[0])
        if name not in known:
            raise ValueError(f"profile: no parameter {name!r} is searched; {suggest(name, known)}")


def reword_error(error: Exception) -> str:
    """A message of `sim.fit` with the key of the configuration in front.

    >>> reword_error(ValueError("start: expected a model that can be differentiated there"))
    'model.params: expected a model that can be differentiated there'
    """
    name, colon, rest = str(error).partition(":")
    return f"{CONFIG_KEYS.get(name, name)}{colon}{rest}"


def run_search(
    how: Any, problem: PreparedSearch, seed: int, folder: Path, resume: bool, stop: Callable
) -> tuple[Any, dict[str, float]]:
    """The fit, and its seconds. Between rounds it is kept in a checkpoint, and goes on from it.

    Raises:
        Ended: a signal came during a search that keeps no checkpoint.
        ValueError: in words of the configuration.
    """
    from sim.fit import load, multistart, save, shoot, staged

    tic = clock.perf_counter()
    seconds = {"compile": problem.seconds}
    if problem.found is None:
        try:
            with _stop_at_once():
                if how.starts > 1:
                    found = multistart(
                        *problem.arguments,
                        how.starts,
                        width=how.width,
                        seed=seed,
                        **problem.settings,
                    )
                    found = found.best._replace(message=found.message)
                elif how.stages:
                    found = staged(*problem.arguments, how.stages, **problem.settings)
                else:
                    found = shoot(*problem.arguments, how.segments, **problem.settings)
        except ValueError as error:
            raise ValueError(reword_error(error)) from None
        return found, {"search": clock.perf_counter() - tic}
    from sim.fit import fit

    path = folder / "latest.npz"
    path.parent.mkdir(exist_ok=True)
    found, losses = problem.found, np.full(how.steps + 1, np.nan)
    losses[0] = found.loss[0]
    kept = Checkpoint(found.search, losses)
    if resume:
        kept = load(path, kept)
    else:
        save(path, kept)
    done = -1
    while not stop() and done != int(kept.search.search.steps):
        done = int(kept.search.search.steps)
        settings = dict(problem.settings) | {
            "steps": min(done + EVALUATIONS_BETWEEN_CHECKPOINTS, how.steps)
        }
        found = fit(*problem.arguments, **settings, search=kept.search)
        kept.losses[done + 1 : done + len(found.loss)] = found.loss[1:]
        kept = Checkpoint(found.search, kept.losses)
        save(path, kept)
    losses = kept.losses[: int(kept.search.search.steps) + 1]
    return found._replace(loss=losses), seconds | {"search": clock.perf_counter() - tic}


def non_finite_message(found: Any) -> str:
    """Where a fit ended because no step to come is finite, in words; else empty."""
    from sim.fit.problem.linearisation import linearise
    from sim.fit.solvers import levenberg_marquardt as lm

    search = found.search.search
    if int(search.status) != lm.STUCK or int(search.non_finite) < int(search.rejected):
        return ""
    ahead = linearise(
        found.problem, lm.propose(search)
    )  # of those refused it is not kept which diverged
    if np.isfinite(float(ahead.loss)) and np.isfinite(np.asarray(ahead.R)).all():
        return ""
    return (
        f"the loss turned non-finite wherever the search would go on, after evaluation {int(search.steps)}: "
        "the last good parameters are kept"
    )


@contextmanager
def _stop_at_once() -> Iterator[None]:
    """A signal ends what has no checkpoint at the next evaluation, not at its end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ended(number, frame):
        if callable(before[number]):
            before[number](number, frame)
        raise Interrupted

    for number in before:
        signal.signal(number, ended)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
