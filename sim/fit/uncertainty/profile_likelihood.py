"""Profile likelihood: a parameter held at each of several values, the others refitted."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from sim.fit.parameters.constraints import Bounded, Fixed, Free, Positive, PositiveDefinite, Tied
from sim.fit.problem.quadratic_model import quadratic_model
from sim.fit.result import Fit
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.status import SEARCHING
from sim.fit.uncertainty.covariance import covariance_factor, linearisation_at_minimum
from sim.fit.uncertainty.robust_covariance import huber_at_minimum, huber_linearisation
from sim.fit.uncertainty.standard_errors import MIN_SHARE, flat_values, values_and_slopes
from sim.messages import suggest

# Points on each side at most, and how much further apart each is than the one before.
POINTS, GROWTH = 12, 1.25
# Searches between the two places around an end, to find it more exactly.
REFINEMENTS = 2


class Profile(NamedTuple):
    """The loss that is left where a parameter is held.

    Attributes:
        value: (K,), where it was held, increasing; the estimate among them.
        loss: (K,), the smallest with it there; infinite where the model diverges.
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

    An interval that bends with the model, where that by the covariance is symmetric in what
    the search moves. Of a likelihood L = −ℓ, σ = 1, and the bound is χ²₁(level).

    Args:
        found: a fit of a sum of squares, or of a likelihood.
        name: of a searched number, one of ``found.uncertainty.names``.
        values: where to hold it; by default ever further from the estimate until the loss
            has passed its bound, of a parameter that a bound holds away from that.
        level: at which the interval covers the parameter.
        steps, tolerance: of each search, as `fit` takes them; each begins where the one
            nearer to the estimate has ended.

    Raises:
        ValueError: no such name, a parameter that several numbers of z make, as what is off the
            diagonal of a covariance, or a value outside its bounds.

    Reference: D. M. Bates and D. G. Watts, *Nonlinear Regression Analysis and Its
    Applications*, Wiley 1988, section 6.1.

    >>> from sim import Stepper
    >>> from sim.fit import Experiment, Simulation, fit
    >>> def model(p):   # what is seen is p, throughout
    ...     return Stepper(jnp.asarray, lambda s, _: (s, p["level"]))
    >>> e = Experiment(None, jnp.array([[1.0], [2.0], [3.0]]))
    >>> found = fit(Simulation(model), {"level": 1.0}, e, states=0.0, free_states=False)
    >>> profile(found, "level").interval.round(3).tolist()   # 2 ± 4.303 / √3
    [-0.484, 4.484]
    """
    problem, z = found.problem, found.minimum
    eps = float(np.finfo(z.dtype).eps)
    names = found.uncertainty.names
    if name not in names:
        raise ValueError(f"name: there is no {name!r}; {suggest(name, names)}")
    i = names.index(name)
    kind = _constraints(problem)[i]
    # Which numbers make it; on a bound no slope may be left.
    slope = np.abs(np.asarray(values_and_slopes(problem, jnp.ones_like(z))[1][i], float))
    column = np.flatnonzero(slope > 1e3 * eps * slope.max())
    if len(column) != 1 or not isinstance(kind, Free | Positive | Bounded | PositiveDefinite):
        raise ValueError(
            f"name: expected a parameter that is searched by itself, or a variance on a "
            f"diagonal, got {name}; its interval is that of the uncertainty"
        )
    j = int(column[0])
    if isinstance(kind, Bounded) and np.isfinite(kind.span):
        most = -np.log(64 * eps)
        z = z.at[j].set(float(np.clip(z[j], -most, most)))
    at, by = _linearise_at(found, z)
    slope = np.abs(np.asarray(values_and_slopes(problem, z)[1][i, j], float))
    # F of one degree is the square of Student's t.
    reach = float(stdtrit(by.degrees, 0.5 + level / 2))
    bound = float(at.loss) + 0.5 * reach**2 * by.share(j)

    def held(warm, place):
        return ProfilePoint(place, *_refit_others(problem, warm, j, place, steps, tolerance))

    def value(place):
        return float(flat_values(problem, z.at[j].set(place))[i])

    def placed(value):
        return _to_search(kind, value) / float(problem.unit[j])

    # By the z of a parameter that a bound holds the loss is no parabola.
    along = (value, placed) if np.isinf(by.scale[j]) else (float, float)
    best = float(z[j])
    if values is not None:
        below, above = _given_places(best, values, placed, name)
    elif np.isinf(by.scale[j]):
        away = _distance_from_bound(
            at, j, slope, by, bound - float(at.loss), problem.objective.is_likelihood
        )
        below, above = _given_places(best, _values_beyond(kind, value(best), away), placed, name)
    else:
        below, above = _places_around(best, j, by, reach)

    if isinstance(kind, Bounded) and np.isinf(kind.lower):  # which falls with z
        below, above = above, below
    ends, rows = [], []
    for side, limit in zip((below, above), found.uncertainty.bounds[i], strict=True):
        points = [ProfilePoint(best, float(at.loss), z)]
        for place in side:
            points.append(held(points[-1].z, place))
            if values is None and not points[-1].loss < bound:
                break
        end = _find_crossing(points, bound, held, *along)
        ends.append(limit if end is None else value(end))
        rows.append([(value(point.place), point.loss) for point in points])
    down, up = rows
    return Profile(*np.array(down[:0:-1] + up).T, np.array(ends))


def _linearise_at(fit, z):
    """The quadratic model of the loss at z, and the factor of the covariance: those that the fit
    keeps where z is its minimum."""
    problem, is_minimum = fit.problem, bool(jnp.array_equal(z, fit.minimum))
    linearisation = linearisation_at_minimum(fit) if is_minimum else quadratic_model(problem, z)
    if problem.objective.robust is None:
        return linearisation, covariance_factor(problem, z, linearisation)
    huber = huber_at_minimum(fit) if is_minimum else huber_linearisation(problem, z)
    return linearisation, covariance_factor(*huber)


class ProfilePoint(NamedTuple):
    """z_j at a place, and the smallest loss with it there, at z."""

    place: float
    loss: float
    z: jax.Array


def _to_search(kind, value):
    """z that makes a value, in units of z."""
    if isinstance(kind, PositiveDefinite):
        return 0.5 * float(Positive().free(np.array([value], float))[0])
    return float(kind.free(np.array([value], float))[0])


def _given_places(best, values, placed, name):
    """The places of values, ever further below and above the estimate."""
    try:
        places = [placed(value) for value in values]
    except ValueError as error:
        raise ValueError(f"values: {name}: {error}") from None
    return sorted((p for p in places if p < best), reverse=True), sorted(
        p for p in places if p > best
    )


def _places_around(best, j, by, reach):
    """Where to hold z_j, ever further below and above the estimate."""
    sd = float(np.linalg.norm(by.W[j]))
    if not sd or np.linalg.norm(by.unseen[:, j]) > MIN_SHARE:
        sd = max(abs(best), 1.0)
    away = _growing_steps(reach * sd)
    return (best - away).tolist(), (best + away).tolist()


def _growing_steps(reach):
    """Four reach the bound of a loss that is a parabola, and so many are tried."""
    return 1.01 * reach * np.cumsum(GROWTH ** np.arange(POINTS)) / np.sum(GROWTH ** np.arange(4))


def _values_beyond(kind, best, away):
    """Values ever further from the bound that holds the best."""
    low = np.isinf(kind.upper) or best - kind.lower < kind.upper - best
    span = kind.span if np.isfinite(kind.span) else max(abs(best), 1.0)
    steps = _growing_steps(min(away, span))
    found = kind.lower + steps if low else kind.upper - steps
    return found[(found > kind.lower) & (found < kind.upper)]


def _distance_from_bound(at, j, slope, by, rise, likely):
    """How far from the bound that holds θ_j the loss has risen, about, the others refitted:

    L ≈ L̂ + g d + ½ c² d²,   d = 2 (L − L̂) / (g + √(g² + 2 c² (L − L̂)))
    """
    R, free = np.asarray(at.R, float), np.isfinite(by.scale)
    g = abs(float(R[:, j] @ np.asarray(at.q, float)))
    others = R[:, free]
    left = R[:, j] - others @ np.linalg.lstsq(others, R[:, j])[0] if free.any() else R[:, j]
    # Near its bound θ bends with z: θ″ = θ′, which a curvature along z has in it.
    square = max(left @ left - likely * g, 0.0)
    steep = g + np.sqrt(g**2 + 2 * square * rise)
    return 2 * rise / steep * slope if steep > 0 else np.inf


def _refit_others(problem, z, j, place, steps, tolerance):
    """The smallest loss with z_j at its place, and where that is."""
    z, j = z.at[j].set(place), jnp.asarray(j)
    search = lm.init(z, quadratic_model(problem, z, j))
    if not np.isfinite(float(search.linearisation.loss)):
        return np.inf, z
    tolerance = jnp.asarray(tolerance, z.dtype)
    while int(search.steps) < steps and int(search.status) == SEARCHING:
        new = _propose(search, j)
        search = _accept_or_reject(search, new, quadratic_model(problem, new, j), tolerance)
    return float(search.linearisation.loss), search.z


@jax.jit
def _propose(search, j):
    return lm.propose(search).at[j].set(search.z[j])


_accept_or_reject = jax.jit(lm.accept_or_reject)


def _find_crossing(points, bound, held, along, back):
    """The place where the loss first passes its bound on the way outwards, or None: its square
    root is nearly straight there along what ``along`` makes of a place."""
    for inner, outer in pairwise(points):
        if not outer.loss < bound:
            break
    else:
        return None
    for finer in range(REFINEMENTS + 1):
        if not np.isfinite(outer.loss):
            return outer.place
        a, b, c = (np.sqrt(max(v - points[0].loss, 0.0)) for v in (inner.loss, outer.loss, bound))
        x, y = along(inner.place), along(outer.place)
        place = back(x + (y - x) * float((c - a) / (b - a)))
        if finer < REFINEMENTS:
            new = held(inner.z, place)
            inner, outer = (new, outer) if new.loss < bound else (inner, new)
    return place


def _constraints(problem):
    """The kind of each searched number, states after the parameters."""
    states = (
        _leaf_constraints(problem.states.layout) * len(problem.order) if problem.states.free else []
    )
    return _leaf_constraints(problem.layout) + states


def _leaf_constraints(declared):
    found = []
    for kind, shape in zip(declared.kinds, declared.shapes, strict=True):
        if not isinstance(kind, Fixed | Tied):
            found += [kind] * int(np.prod(shape))
    return found
