"""What a search has found: parameters, noise, uncertainty, and words."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.problem.errors import NoForwardMode
from sim.fit.problem.linearisation import Linearisation, linearise
from sim.fit.problem.losses import residuals
from sim.fit.problem.problem import Problem
from sim.fit.problem.quadratic_model import convex_model, curvature
from sim.fit.result import Fit, NoCovariance, SearchState, Uncertainty
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK
from sim.fit.uncertainty.covariance import MAX_UNKNOWNS, effective_parameters
from sim.fit.uncertainty.robust_covariance import HuberLinearisation, huber_linearisation
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


def noise(problem: Problem, z, linearisation: Linearisation | None = None) -> Any:
    """The standard deviation of the errors of each output, (outputs,); beside a robust loss by
    their median size.

    Args:
        problem, z: the problem, and a place.
        linearisation: of the problem at z, if it is known already.
    """
    errors = np.concatenate(residuals(problem, z))
    unknowns = effective_parameters(problem, z, linearisation)
    count = np.isfinite(errors).sum(axis=0)
    free = np.maximum(count * (1 - unknowns / max(count.sum(), unknowns + 1)), 1)
    if problem.objective.robust is None:
        sd = np.sqrt(np.nansum(errors**2, axis=0) / free)
    else:
        sd = MEDIAN_TO_SD * np.nanmedian(np.abs(errors), axis=0) * np.sqrt(count / free)
    # A perfect output leaves no noise to count by but that of rounding.
    least = (
        64
        * float(jnp.finfo(z.dtype).eps)
        * output_scale([e for _, e in problem.per_experiment(z)[1]])
    )
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
    z = progress.minimum
    params, each = problem.per_experiment(z)
    evaluated = _evaluate_minimum(problem, search, z)
    sd = noise(problem, z, evaluated.linearisation)
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
    words = "; ".join([words, *evaluated.uncertainty.held])
    if validation is not None:
        validation = np.asarray(validation)
    return Fit(
        jax.tree.map(np.asarray, params),
        tuple(x0 for x0, _ in each),
        np.asarray(losses),
        np.asarray(sd),
        evaluated.uncertainty,
        words,
        progress,
        problem,
        validation,
        evaluated.linearisation,
        evaluated.huber,
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


class _Minimum(NamedTuple):
    """The uncertainty at the minimum, and what was evaluated for it, see `Fit`."""

    uncertainty: Uncertainty
    linearisation: Linearisation | None
    huber: HuberLinearisation | None = None


def _evaluate_minimum(problem, search, z) -> _Minimum:
    known = search.linearisation is not None and np.array_equal(z, search.z)
    linearisation = search.linearisation if known else None
    most = MAX_UNKNOWNS_LINEARISED if known else MAX_UNKNOWNS
    if len(z) > most:
        return _Minimum(without_covariance(problem, z, NoCovariance(most)), linearisation)
    try:
        if problem.objective.is_likelihood:
            at_minimum = curvature(problem, z)
            uncertainty = from_observed_information(problem, z, at_minimum.hessian)
            return _Minimum(uncertainty, linearisation or convex_model(at_minimum))
        if problem.objective.robust is not None:
            huber = huber_linearisation(problem, z)
            return _Minimum(from_fisher_information(*huber), linearisation, huber)
        linearisation = linearisation or linearise(problem, z)
        return _Minimum(from_fisher_information(problem, z, linearisation), linearisation)
    except NoForwardMode:
        return _Minimum(without_covariance(problem, z, NoCovariance(None)), linearisation)
