"""From the end of a search to a `Fit`: parameters, noise, uncertainty and a message."""

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
from sim.fit.solvers.status import CONVERGED, SEARCHING
from sim.fit.uncertainty.covariance import MAX_UNKNOWNS, effective_parameters
from sim.fit.uncertainty.robust_covariance import HuberLinearisation, huber_linearisation
from sim.fit.uncertainty.standard_errors import (
    from_fisher_information,
    from_observed_information,
    without_covariance,
)
from sim.records.experiment import output_scale

# Unknowns up to which there is a covariance if the search knows the triangle at its end.
MAX_UNKNOWNS_LINEARISED = 1000
# The standard deviation of Gaussian errors, in units of their median size.
MEDIAN_TO_SD = 1.4826


def noise(problem: Problem, z, linearisation: Linearisation | None = None) -> Any:
    """The standard deviation of the errors of each output, (outputs,); for a robust loss from
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
    # A perfect output has no noise except that of rounding.
    scale = output_scale([e for _, e in problem.per_experiment(z)[1]])
    return jnp.asarray(np.maximum(sd, 64 * float(jnp.finfo(z.dtype).eps) * scale), z.dtype)


def build_fit(
    problem: Problem,
    search: SearchState,
    losses: Sequence[float],
    validation: Sequence[float] | None = None,
    message: str | None = None,
) -> Fit:
    """The fit with which a search ends.

    Args:
        problem, search: the problem, and the state at the end.
        losses, validation: after each evaluation.
        message: how the search ended, unless its state tells it.
    """
    state, z = search.search, search.minimum
    params, pairs = problem.per_experiment(z)
    minimum = _evaluate_minimum(problem, state, z)
    sd = noise(problem, z, minimum.linearisation)
    message = (message or _end_phrase(state)) + _non_finite_phrase(state)
    message = "; ".join([message, *minimum.uncertainty.held])
    return Fit(
        params=jax.tree.map(np.asarray, params),
        states=tuple(x0 for x0, _ in pairs),
        loss=np.asarray(losses),
        noise=np.asarray(sd),
        uncertainty=minimum.uncertainty,
        message=message,
        search=search,
        problem=problem,
        validation=None if validation is None else np.asarray(validation),
        linearisation=minimum.linearisation,
        huber=minimum.huber,
    )


def steps_phrase(state, n: int) -> str:
    """n steps in words: evaluations, or passes over the records for training in windows."""
    word = ("evaluation", "evaluations") if state.location is None else ("pass", "passes")
    return f"{n} {word[n != 1]}"


def _end_phrase(state) -> str:
    after = f"after {steps_phrase(state, int(state.steps))}"
    status = int(state.status)
    if status == SEARCHING:
        return f"stopped {after}, before it converged"
    if status == CONVERGED:
        return f"converged {after}"
    if state.location is None:
        return f"no step lowers the loss, {after}"
    # A window is rejected only if it is not finite.
    return f"the loss is not finite, the last good parameters are kept, {after}"


def _non_finite_phrase(state) -> str:
    """How many places were not finite, and in which window the last one was; or nothing."""
    count = int(state.non_finite)
    if not count:
        return ""
    phrase = f"; the model diverged at {count} place{'s' * (count > 1)} tried, which it left"
    if state.location is None:
        return phrase
    step, window = (int(n) for n in state.location)
    return f"{phrase}, the last in {f'window {window} of ' * bool(window)}pass {step}"


class _Minimum(NamedTuple):
    """The uncertainty at the minimum, and what was evaluated for it, see `Fit`."""

    uncertainty: Uncertainty
    linearisation: Linearisation | None
    huber: HuberLinearisation | None = None


def _evaluate_minimum(problem, state, z) -> _Minimum:
    known = state.linearisation is not None and np.array_equal(z, state.z)
    linearisation = state.linearisation if known else None
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
