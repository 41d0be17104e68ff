"""The search for parameters: prepared before a run, stopped between evaluations, and resumed."""

import signal
import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cli.messages import suggest
from experiments.fit.findings import NonFiniteFit
from experiments.fit.options import FitOptions
from experiments.identification.config_keys import RECORD_KEYS, reword_error
from experiments.identification.experiments import RecordedExperiment
from experiments.identification.objective import FitSetup
from experiments.identification.search import PreparedSearch, run_with_checkpoints

EVALUATIONS_BETWEEN_CHECKPOINTS = 5
CONFIG_KEYS = RECORD_KEYS | {  # an argument of `sim.fit` to the key that gives it
    "parameters": "fit.parameters",
    "start": "model.params",
    "states": "fit.states",
    "state_kinds": "fit.parameters.states",
    "segments": "fit.segments",
    "stages": "fit.stages",
    "starts": "fit.starts",
    "steps": "fit.steps",
    "width": "fit.width",
    "profile": "fit.profile",
}


class Interrupted(Exception):
    """A signal came during a search that saves no state."""


def prepare_search(
    options: FitOptions, setup: FitSetup, records: Sequence[RecordedExperiment]
) -> PreparedSearch:
    """Make the first evaluation, so that mistakes are found before anything is written.

    Raises:
        ValueError: the options, the model and the records do not suit each other; the message
            names the key of the configuration.
        DivergenceError: the model diverges at the start.
    """
    from sim.fit.problem.errors import DivergenceError

    try:
        return _prepare_search(options, setup, records)
    except DivergenceError as error:
        raise DivergenceError(reword_error(error, CONFIG_KEYS)) from None
    except ValueError as error:
        raise ValueError(reword_error(error, CONFIG_KEYS)) from None


def _prepare_search(options, setup, records):
    from sim.fit import fit, initial_state
    from sim.fit.problem.assemble import build_problem
    from sim.fit.search.stages import check_stages

    tic = clock.perf_counter()
    objective, start = setup.objective, setup.start
    experiments = [record.experiment for record in records]
    arguments = (objective, start, experiments)
    kinds = dict(options.parameters)
    state_kinds = {} if _has_part(start, "states") else kinds.pop("states", {})
    states = [setup.state] * len(experiments)
    if options.states == "first":
        states = [
            initial_state(objective, start, record.experiment, record.known, setup.state)
            for record in records
        ]
    settings: dict[str, Any] = {
        "parameters": kinds,
        "state_kinds": state_kinds,
        "tolerance": options.tolerance,
        "states": states,
    }
    _check_profile(options.profile, start, kinds)
    if options.stages:
        check_stages(options.stages, start, kinds)
    longest = max(len(e.y) for e in experiments)
    if options.segments > longest:
        raise ValueError(
            f"segments: expected at most the {longest} steps of the longest experiment, got "
            f"{options.segments}"
        )
    initial = None
    if options.starts > 1 or options.segments > 1:
        build_problem(*arguments, kinds, states, state_kinds=state_kinds)
    else:
        settings["free_states"] = options.states == "free"
        initial = fit(*arguments, **settings, steps=0)
        initial = None if options.stages else initial
    seconds = clock.perf_counter() - tic
    return PreparedSearch(arguments, settings, initial, seconds, tuple(range(len(records))))


def _has_part(start, name):
    """Whether a pytree of parameters has a part of this name."""
    from jax.tree_util import keystr, tree_flatten_with_path

    paths = (path for path, _ in tree_flatten_with_path(start)[0] if path)
    return any(keystr(path[:1], simple=True) == name for path in paths)


def _check_profile(names, start, kinds):
    """Raise ValueError unless all names are those of searched parameters."""
    from sim.fit.parameters.layout import free_names, parameter_layout

    for name in names:
        known = free_names(parameter_layout(start, kinds)[0])
        if name not in known:
            raise ValueError(f"profile: no parameter {name!r} is searched; {suggest(name, known)}")


def run_search(
    options: FitOptions,
    prepared: PreparedSearch,
    seed: int,
    folder: Path,
    resume: bool,
    stop: Callable[[], bool],
) -> tuple[Any, dict[str, float]]:
    """The fit, and the seconds of its phases.

    Args:
        options: how to search.
        prepared: the first evaluation.
        seed: of the starts, where there are several.
        folder: where the checkpoint is.
        resume: whether to go on from the checkpoint.
        stop: whether the search must end after this evaluation.

    Raises:
        Interrupted: a signal came during a search that saves no state.
        ValueError: the search fails, with a key of the configuration in front.
    """
    from sim.fit import fit

    tic = clock.perf_counter()
    if prepared.initial is None:
        try:
            with _stop_at_once():
                result = _run_at_once(options, prepared, seed)
        except ValueError as error:
            raise ValueError(reword_error(error, CONFIG_KEYS)) from None
        return result, {"search": clock.perf_counter() - tic}
    result, losses = run_with_checkpoints(
        fit,
        prepared,
        options.steps,
        folder,
        resume,
        stop,
        is_due=lambda step: step % EVALUATIONS_BETWEEN_CHECKPOINTS == 0,
    )
    seconds = {"compile": prepared.seconds, "search": clock.perf_counter() - tic}
    return result._replace(loss=losses), seconds


def _run_at_once(options, prepared, seed):
    """The fit by a search that saves no state."""
    from sim.fit import multistart, shoot, staged

    settings = dict(prepared.settings) | {"steps": options.steps}
    if options.starts > 1:
        settings |= {"width": options.width, "seed": seed}
        result = multistart(*prepared.arguments, options.starts, **settings)
        return result.best._replace(message=result.message)
    if options.stages:
        return staged(*prepared.arguments, options.stages, **settings)
    return shoot(*prepared.arguments, options.segments, **settings)


def non_finite_end(fit: Any) -> NonFiniteFit | None:
    """How a fit ended, if it did because no place that it could go on to is finite."""
    from sim.fit.problem.linearisation import linearise
    from sim.fit.solvers import levenberg_marquardt as lm

    search = fit.search.search
    if int(search.status) != lm.STUCK or int(search.non_finite) < int(search.rejected):
        return None
    # The state does not tell which of the rejected places were not finite: the next one does.
    ahead = linearise(fit.problem, lm.propose(search))
    if np.isfinite(float(ahead.loss)) and np.isfinite(np.asarray(ahead.R)).all():
        return None
    return NonFiniteFit(int(search.steps))


@contextmanager
def _stop_at_once() -> Iterator[None]:
    """A signal ends the search at once, with `Interrupted`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def interrupt(number, frame):
        if callable(before[number]):
            before[number](number, frame)
        raise Interrupted

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
