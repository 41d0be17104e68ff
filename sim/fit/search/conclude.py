"""What a search has found: parameters, noise, uncertainty, and words."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.errors import NoForwardMode
from sim.fit.problem.objectives import is_likelihood
from sim.fit.problem.problem import Problem, linearise, residuals
from sim.fit.result import Fit, SearchState, Uncertainty
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK
from sim.fit.uncertainty.covariance import MAX_UNKNOWNS, effective_parameters
from sim.fit.uncertainty.robust_covariance import huber_linearisation
from sim.fit.uncertainty.standard_errors import (
    from_fisher_information,
    from_observed_information,
    without_covariance,
)
from sim.records.experiment import output_scale

# Unknowns up to which there is a covariance where the search has left the triangle of the Jacobian.
MAX_UNKNOWNS_LINEARISED = 1000
# Of Gaussian errors the standard deviation, in units of their median size.
MEDIAN_TO_SD = 1.4826


def noise(problem: Problem, z) -> Any:
    """The standard deviation of the errors of each output, (outputs,); beside a robust loss by
    their median size."""
    errors, unknowns = np.concatenate(residuals(problem, z)), effective_parameters(problem, z)
    count = np.isfinite(errors).sum(axis=0)
    free = np.maximum(count * (1 - unknowns / max(count.sum(), unknowns + 1)), 1)
    if problem.robust is None:
        sd = np.sqrt(np.nansum(errors**2, axis=0) / free)
    else:
        sd = MEDIAN_TO_SD * np.nanmedian(np.abs(errors), axis=0) * np.sqrt(count / free)
    # A perfect output leaves no noise to count by but that of rounding.
    least = 64 * float(jnp.finfo(z.dtype).eps) * output_scale([e for _, e in problem.each(z)[1]])
    return jnp.asarray(np.maximum(sd, least), z.dtype)


def build_fit(
    problem: Problem,
    progress: SearchState,
    losses: Sequence[float],
    validation: Sequence[float] | None = None,
    ended: str | None = None,
) -> Fit:
    """What a search has found; ``ended`` says how where the search itself does not know."""
    search = progress.search
    z = search.z if progress.best is None else progress.best.z
    params, each = problem.each(z)
    sd = noise(problem, z)
    after = f"after {steps_phrase(search, int(search.steps))}"
    words = (
        ended
        or {
            SEARCHING: f"stopped {after}, before it converged",
            CONVERGED: f"converged {after}",
            STUCK: f"{_describe_stuck(search)}, {after}",
        }[int(search.status)]
    )
    bad = int(search.non_finite)
    if bad:
        words += f"; the model diverged at {bad} place{'s' * (bad > 1)} tried, which it left"
        words += _describe_place(search)
    trust = _uncertainty(problem, search, z)
    words = "; ".join([words, *trust.held])
    if validation is not None:
        validation = np.asarray(validation)
    return Fit(
        jax.tree.map(np.asarray, params),
        tuple(x0 for x0, _ in each),
        np.asarray(losses),
        np.asarray(sd),
        trust,
        words,
        progress,
        problem,
        validation,
    )


def steps_phrase(search, n: int) -> str:
    """Steps of a search in words: those of training in windows are passes over the records."""
    word = ("evaluation", "evaluations") if search.location is None else ("pass", "passes")
    return f"{n} {word[n != 1]}"


def _describe_stuck(search) -> str:
    # Windows are refused for one reason alone.
    if search.location is None:
        return "no step lowers the loss"
    return "the loss is not finite, the last good parameters are kept"


def _describe_place(search) -> str:
    """In words, where training in windows met the last place that was not finite."""
    if search.location is None:
        return ""
    step, window = (int(n) for n in search.location)
    return f", the last in {f'window {window} of ' * bool(window)}pass {step}"


def _uncertainty(problem, search, z) -> Uncertainty:
    known = search.linearisation is not None and np.array_equal(z, search.z)
    most = MAX_UNKNOWNS_LINEARISED if known else MAX_UNKNOWNS
    if len(z) > most:
        return without_covariance(problem, z, f"more than {most} unknowns")
    try:
        if is_likelihood(problem.objective):
            return from_observed_information(problem, z)
        if problem.robust is not None:
            return from_fisher_information(*huber_linearisation(problem, z))
        at_minimum = search.linearisation if known else linearise(problem, z)
        return from_fisher_information(problem, z, at_minimum)
    except NoForwardMode:
        return without_covariance(
            problem, z, "a model with jax.custom_vjp has no forward-mode derivative"
        )
