"""From a fit to what is kept of it: traces, scores, residual tests and words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.fit.search import reword_error
from experiments.identification.result_file import FitReport
from experiments.identification.scoring import (
    INTERVAL_LEVEL,
    data_warnings,
    make_trace,
    published_comparison,
    residual_tests,
    to_report,
    with_band,
)


def evaluate(task: Any, found: Any, seconds: Mapping[str, float]) -> FitReport:
    """Everything that is kept; the tests are opened here, once, and nothing is chosen by them.

    A record that cannot be scored is a finding: the fit is not lost with it.
    """
    from sim.fit.problem.free_run import free_run
    from sim.fit.search.initial_state import initial_state
    from sim.fit.uncertainty.bands import bands

    data, traces, said = task.data, [], [found.message]
    whole = len(found.problem.order) == len(data.training)  # not segments that stayed apart
    for sampled, x0 in zip(data.training, found.states, strict=True):
        simulated = free_run(task.objective, found.params, x0, task.experiment(sampled))
        traces.append(make_trace(task, sampled, simulated))
    # Where a state is not searched, its error fades over the first samples.
    skip = 0 if task.search.states == "free" else data.training[0].part.known
    checks = residual_tests(traces[0], skip)
    found = with_coloured_uncertainty(found, checks, said)
    if task.search.bands and whole:
        traces = [with_band(task, one, bands(found, i).sd) for i, one in enumerate(traces)]
    tests = []
    for sampled in (*data.validation, *data.tests):
        part, test = sampled.part, sampled.y.shape[1] == 0
        try:
            sampled = data.opened(sampled) if test else sampled
            e = task.experiment(sampled)
            x0 = initial_state(task.objective, found.params, e, part.known, task.state)
            simulated = free_run(task.objective, found.params, x0, e)
            traces.append(make_trace(task, sampled, simulated, part.known))
            tests += [traces[-1]] if test else []
        except (OSError, ValueError) as error:
            said.append(f"{part.name} was not scored: {reword_error(error)}")
    said += found.uncertainty.open
    said += data_warnings(task)
    done = to_report(task, found, traces, checks, said, seconds, published_comparison(data, tests))
    return with_profiles(done, found, task.search.profile) if task.search.profile else done


def with_coloured_uncertainty(found: Any, checks: Mapping[str, tuple], said: list[str]) -> Any:
    """The fit, with the uncertainty of coloured residuals where these are not white at 5 %, which
    is then said."""
    from sim.fit.uncertainty.coloured_residuals import coloured_uncertainty

    white = found.uncertainty
    failed = [p for name, (*_, p) in checks.items() if name.startswith("whiteness ") and p < 0.05]
    if not failed or white.covariance is None or found.problem.objective.is_likelihood:
        return found
    try:
        own = coloured_uncertainty(found)
    except ValueError:  # of segments that stayed apart
        said.append(
            "the residual is not white: the intervals, which take it as white, are too narrow"
        )
        return found
    known = np.isfinite(white.standard_error) & (white.standard_error > 0)
    ratio = (
        np.median(own.standard_error[known] / white.standard_error[known]) if known.any() else 1.0
    )
    said.append(
        f"the residual is not white: the intervals count its memory, and are {ratio:.1f} times as "
        "wide as they would be without; what a wrong model shifts they do not hold"
    )
    return found._replace(uncertainty=own)


def with_profiles(done: FitReport, found: Any, names: Sequence[str]) -> FitReport:
    """With the intervals of some parameters by the profile likelihood; one that cannot be told
    is a finding."""
    from sim.fit import profile

    ends, said = np.full((len(done.names), 2), np.nan), []
    for name in names:
        try:
            ends[done.names.index(name)] = profile(found, name, level=INTERVAL_LEVEL).interval
        except ValueError as error:
            said.append(f"{name} has no profile: {error}")
    if any(text.startswith("the residual is not white") for text in done.said):
        said.append(
            "the intervals by profile take the residual as white, which it is not: they are too narrow"
        )
    return done._replace(profile=ends, said=(*done.said, *said))
