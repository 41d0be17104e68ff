"""Profile likelihood: one parameter fixed at each of several values, the others estimated anew."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from sim.fit.parameters.constraints import Bounded, Free, Positive, PositiveDefinite
from sim.fit.problem.quadratic_model import quadratic_model
from sim.fit.result import Fit
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.uncertainty.covariance import covariance_factor, linearisation_at_minimum
from sim.fit.uncertainty.profile_places import (
    distance_from_bound,
    places_around,
    places_of_values,
    to_search,
    values_beyond,
)
from sim.fit.uncertainty.robust_covariance import huber_at_minimum, huber_linearisation
from sim.fit.uncertainty.searched_numbers import (
    searched_constraints,
    searched_values,
    values_and_slopes,
)
from sim.messages import suggest

# Searches between the two places around an end of the interval, to find it more exactly.
REFINEMENTS = 2


class Profile(NamedTuple):
    """The smallest loss at each of several values of one parameter.

    Attributes:
        value: (K,), increasing; the estimate is among them.
        loss: (K,), minimised over the other parameters; infinite where the model diverges.
        interval: (2,), where the loss reaches its bound; the end of the parameter's range,
            mostly infinite, where it does not.
    """

    value: np.ndarray
    loss: np.ndarray
    interval: np.ndarray


def profile(
    found: Fit,
    name: str,
    values: Sequence[float] | None = None,
    *,
    level: float = 0.95,
    steps: int = 50,
    tolerance: float = 1e-9,
) -> Profile:
    """{θ : 2 (L(θ) − L̂) / σ² ≤ F₁,ₘ₋ₙ(level)},   L(θ) = min over all others

    The interval follows the curvature of the model, whereas the one from the covariance is
    symmetric in z. For a likelihood L = −ℓ, σ = 1, and the bound is χ²₁(level).

    Args:
        found: a fit of a sum of squares, or of a likelihood.
        name: of an estimated number, one of ``found.uncertainty.names``.
        values: at which to minimise the loss; by default ever further from the estimate until
            the loss has passed its bound, on one side only for a parameter at an active bound.
        level: the probability with which the interval covers the parameter.
        steps, tolerance: of each search, as `fit` takes them; each begins where the one
            nearer to the estimate has ended.

    Raises:
        ValueError: there is no such name, the parameter depends on several numbers of z, as an
            off-diagonal element of a covariance does, or a value is outside its bounds.

    Reference: D. M. Bates and D. G. Watts, *Nonlinear Regression Analysis and Its
    Applications*, Wiley 1988, section 6.1.

    >>> from sim import Stepper
    >>> from sim.fit import Experiment, Simulation, fit
    >>> def model(p):   # its output is p["level"] at all times
    ...     return Stepper(jnp.asarray, lambda s, _: (s, p["level"]))
    >>> e = Experiment(None, jnp.array([[1.0], [2.0], [3.0]]))
    >>> found = fit(Simulation(model), {"level": 1.0}, e, states=0.0, free_states=False)
    >>> profile(found, "level").interval.round(3).tolist()   # 2 ± 4.303 / √3
    [-0.484, 4.484]
    """
    problem, z = found.problem, found.minimum
    eps = float(np.finfo(z.dtype).eps)
    i, j, kind = _find_parameter(found, name, eps)
    if isinstance(kind, Bounded) and np.isfinite(kind.span):
        largest = -np.log(64 * eps)
        z = z.at[j].set(float(np.clip(z[j], -largest, largest)))
    linearisation, factor = _linearise_at(found, z)
    # F of one degree is the square of Student's t.
    reach = float(stdtrit(factor.degrees, 0.5 + level / 2))
    loss = float(linearisation.loss)
    bound = loss + 0.5 * reach**2 * factor.variance_ratio(j)

    def minimise_others(start, place):
        return ProfilePoint(place, *_refit_others(problem, start, j, place, steps, tolerance))

    def value_of(place):
        return float(searched_values(problem, z.at[j].set(place))[i])

    def place_of(value):
        return to_search(kind, value) / float(problem.unit[j])

    best, at_bound = float(z[j]), np.isinf(factor.scale[j])
    if values is None and at_bound:
        slope = np.abs(np.asarray(values_and_slopes(problem, z)[1][i, j], float))
        likelihood = problem.objective.is_likelihood
        distance = distance_from_bound(linearisation, j, slope, factor, bound - loss, likelihood)
        values_at = values_beyond(kind, value_of(best), distance)
        below, above = places_of_values(best, values_at, place_of, name)
    elif values is None:
        below, above = places_around(best, j, factor, reach)
    else:
        below, above = places_of_values(best, values, place_of, name)

    if isinstance(kind, Bounded) and np.isinf(kind.lower):  # the value falls as z grows
        below, above = above, below
    # At an active bound the loss is no parabola in z: it is interpolated in the value.
    scale = (value_of, place_of) if at_bound else (float, float)
    ends, rows = [], []
    for places, limit in zip((below, above), found.uncertainty.bounds[i], strict=True):
        points = [ProfilePoint(best, loss, z)]
        for place in places:
            points.append(minimise_others(points[-1].z, place))
            if values is None and not points[-1].loss < bound:
                break
        end = _find_crossing(points, bound, minimise_others, *scale)
        ends.append(limit if end is None else value_of(end))
        rows.append([(value_of(point.place), point.loss) for point in points])
    down, up = rows
    return Profile(*np.array(down[:0:-1] + up).T, np.array(ends))


class ProfilePoint(NamedTuple):
    """A value of z_j, the smallest loss with z_j fixed there, and the whole z of it."""

    place: float
    loss: float
    z: jax.Array


def _find_parameter(fit, name, eps):
    """The index of a parameter among the names, that of its number in z, and its constraint.

    Raises:
        ValueError: there is no such name, or several numbers of z determine it.
    """
    names = fit.uncertainty.names
    if name not in names:
        raise ValueError(f"name: there is no {name!r}; {suggest(name, names)}")
    i = names.index(name)
    kind = searched_constraints(fit.problem)[i]
    # At z = 1 rather than at the minimum: at a bound no slope may be left.
    slopes = values_and_slopes(fit.problem, jnp.ones_like(fit.minimum))[1]
    slope = np.abs(np.asarray(slopes[i], float))
    columns = np.flatnonzero(slope > 1e3 * eps * slope.max())
    if len(columns) != 1 or not isinstance(kind, Free | Positive | Bounded | PositiveDefinite):
        raise ValueError(
            f"name: expected a parameter that is searched by itself, or a variance on a "
            f"diagonal, got {name}; its interval is that of the uncertainty"
        )
    return i, int(columns[0]), kind


def _linearise_at(fit, z):
    """The quadratic model of the loss at z, and the factor of the covariance: those that the fit
    keeps where z is its minimum."""
    problem, is_minimum = fit.problem, bool(jnp.array_equal(z, fit.minimum))
    linearisation = linearisation_at_minimum(fit) if is_minimum else quadratic_model(problem, z)
    if problem.objective.robust is None:
        return linearisation, covariance_factor(problem, z, linearisation)
    huber = huber_at_minimum(fit) if is_minimum else huber_linearisation(problem, z)
    return linearisation, covariance_factor(*huber)


def _refit_others(problem, z, j, place, steps, tolerance):
    """The smallest loss with z_j fixed at a place, and its z."""
    z, solver = z.at[j].set(place), _OthersSolver(jnp.asarray(j))
    state = solver.init(problem, z)
    if not np.isfinite(float(solver.loss(state))):
        return np.inf, z
    state = lm.minimise(solver, problem, state, steps, tolerance)
    return float(solver.loss(state)), state.z


class _OthersSolver(NamedTuple):
    """The method of Levenberg and Marquardt over all numbers of z except the one at j."""

    j: jax.Array

    def init(self, problem, z) -> lm.State:
        return lm.init(z, quadratic_model(problem, z, self.j))

    def step(self, problem, state: lm.State, tolerance: float) -> lm.State:
        z = _propose(state, self.j)
        model = quadratic_model(problem, z, self.j)
        return _accept_or_reject(state, z, model, jnp.asarray(tolerance, z.dtype))

    def loss(self, state: lm.State):
        return state.linearisation.loss


@jax.jit
def _propose(state, j):
    return lm.propose(state).at[j].set(state.z[j])


_accept_or_reject = jax.jit(lm.accept_or_reject)


def _find_crossing(points, bound, minimise_others, to_scale, from_scale):
    """The place where the loss first passes its bound on the way outwards, or None.

    The square root of the rise of the loss is nearly a straight line over ``to_scale(place)``.
    """
    crossings = (pair for pair in pairwise(points) if not pair[1].loss < bound)
    inner, outer = next(crossings, (None, None))
    if outer is None:
        return None
    for refinement in range(REFINEMENTS + 1):
        if not np.isfinite(outer.loss):
            return outer.place
        a, b, c = (np.sqrt(max(v - points[0].loss, 0.0)) for v in (inner.loss, outer.loss, bound))
        x, y = to_scale(inner.place), to_scale(outer.place)
        place = from_scale(x + (y - x) * float((c - a) / (b - a)))
        if refinement < REFINEMENTS:
            between = minimise_others(inner.z, place)
            inner, outer = (between, outer) if between.loss < bound else (inner, between)
    return place
