"""Profile likelihood: a parameter held at each of several values, the others refitted."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from sim.fit import least_squares as lm
from sim.fit.bands import minimum
from sim.fit.found import Fit
from sim.fit.objectives import likelihood
from sim.fit.kinds import Bounded, Fixed, Free, Positive, Tied
from sim.fit.problem import evaluated
from sim.fit.uncertainty import MOVED, _flat, _values, degrees, root, variance
from sim.fit.words import nearest

# Points on each side at most, and how much further apart each is than the one before.
POINTS, GROWTH = 12, 1.25


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

    An interval that bends with the model, where that by the covariance is symmetric.

    Args:
        found: a fit of a sum of squares.
        name: of a searched number, one of ``found.uncertainty.names``.
        values: where to hold it; by default ever further from the estimate until the loss
            has passed its bound.
        level: at which the interval covers the parameter.
        steps, tolerance: of each search, as `fit` takes them; each begins where the one
            nearer to the estimate has ended.

    Raises:
        ValueError: no such name, a parameter that is one number of several in z, a value
            outside its bounds, or a fit of a likelihood.

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
    problem, z = found.problem, minimum(found)
    if likelihood(problem.objective):
        raise ValueError("found: expected a fit of a sum of squares, got one of a likelihood")
    names = found.uncertainty.names
    if name not in names:
        raise ValueError(f"name: there is no {name!r}; {nearest(name, names)}")
    i = names.index(name)
    kind = _kinds(problem)[i]
    column = np.flatnonzero(np.asarray(_values(problem, z)[1][i]))
    if len(column) != 1 or not isinstance(kind, Free | Positive | Bounded):
        raise ValueError(f"name: expected a parameter that is searched by itself, got {name}")
    j, at = int(column[0]), evaluated(problem, z)
    # F of one degree is the square of Student's t.
    reach = float(stdtrit(degrees(problem), 0.5 + level / 2))
    bound = float(at.loss) + 0.5 * reach**2 * variance(problem, at.loss)
    below, above = _sides(problem, z, j, at, kind, values, reach, name)
    ends, sides = [], []
    for side, limit in zip((below, above), _range(kind), strict=True):
        points, warm = [(float(z[j]), float(at.loss))], z
        for place in side:
            loss, warm = _held(problem, warm, j, place, steps, tolerance)
            points.append((place, loss))
            if values is None and not loss < bound:
                break
        value = [float(_flat(problem, z.at[j].set(place))[i]) for place, _ in points]
        loss = [loss for _, loss in points]
        ends.append(_crossing(value, loss, bound, limit))
        sides.append((value, loss))
    value, loss = (np.array(down[:0:-1] + up) for down, up in zip(*sides, strict=True))
    return Profile(value, loss, np.array(ends))


def _sides(problem, z, j, at, kind, values, reach, name):
    """Where to hold z_j, ever further below and above the estimate."""
    best = float(z[j])
    if values is not None:
        try:
            places = np.concatenate([kind.free(np.array([v], float)) for v in values])
        except ValueError as error:
            raise ValueError(f"values: {name}: {error}") from None
        places = (places / float(problem.unit[j])).tolist()
        return (sorted((p for p in places if p < best), reverse=True),
                sorted(p for p in places if p > best))  # fmt: skip
    W, unseen, _ = root(problem, at)
    sd = float(np.linalg.norm(W[j]))
    if not sd or np.linalg.norm(unseen[:, j]) > MOVED:
        sd = max(abs(best), 1.0)
    # Four steps reach the bound of a loss that is a parabola.
    first = reach * sd / np.sum(GROWTH ** np.arange(4)) * 1.01
    away = first * np.cumsum(GROWTH ** np.arange(POINTS))
    return (best - away).tolist(), (best + away).tolist()


def _held(problem, z, j, place, steps, tolerance):
    """The smallest loss with z_j at its place, and where that is."""
    z, j = z.at[j].set(place), jnp.asarray(j)
    search = lm.begun(z, _without(evaluated(problem, z), j))
    if not np.isfinite(float(search.at.loss)):
        return np.inf, z
    tolerance = jnp.asarray(tolerance, z.dtype)
    while int(search.steps) < steps and int(search.status) == lm.SEARCHING:
        new = _proposed(search, j)
        search = _judged(search, new, _without(evaluated(problem, new), j), tolerance)
    return float(search.at.loss), search.z


@jax.jit
def _proposed(search, j):
    return lm.proposed(search).at[j].set(search.z[j])


@jax.jit
def _without(at, j):
    """As if z_j moved nothing."""
    return at._replace(R=at.R.at[:, j].set(0))


_judged = jax.jit(lm.judged)


def _crossing(value, loss, bound, limit):
    """Where the loss first passes its bound on the way outwards; its square root is nearly
    straight there."""
    lowest = loss[0]
    for k in range(1, len(loss)):
        if not loss[k] < bound:
            if not np.isfinite(loss[k]):
                return value[k]
            a, b, c = (np.sqrt(max(v - lowest, 0.0)) for v in (loss[k - 1], loss[k], bound))
            return value[k - 1] + (value[k] - value[k - 1]) * (c - a) / (b - a)
    return limit


def _range(kind):
    if isinstance(kind, Bounded):
        return kind.lower, kind.upper
    return (0.0 if isinstance(kind, Positive) else -np.inf), np.inf


def _kinds(problem):
    """The kind of each searched number, states after the parameters."""
    states = _own(problem.states.declared) * len(problem.order) if problem.states.free else []
    return _own(problem.declared) + states


def _own(declared):
    found = []
    for kind, shape in zip(declared.kinds, declared.shapes, strict=True):
        if not isinstance(kind, Fixed | Tied):
            found += [kind] * int(np.prod(shape))
    return found
