"""Where a profile evaluates the loss: places of one number of z, ever further from its estimate."""

import numpy as np

from sim.fit.parameters.constraints import Positive, PositiveDefinite
from sim.fit.uncertainty.standard_errors import MIN_SHARE

# The number of points on each side at most, and the factor from one step to the next.
POINTS, GROWTH = 12, 1.25


def to_search(kind, value) -> float:
    """The number of z, in units of 1, that gives a value of a parameter."""
    if isinstance(kind, PositiveDefinite):  # a variance on the diagonal
        return 0.5 * float(Positive().free(np.array([value], float))[0])
    return float(kind.free(np.array([value], float))[0])


def places_of_values(best, values, place_of, name) -> tuple[list[float], list[float]]:
    """The places of given values, ever further below and above the estimate ``best``."""
    try:
        places = [place_of(value) for value in values]
    except ValueError as error:
        raise ValueError(f"values: {name}: {error}") from None
    below = sorted((place for place in places if place < best), reverse=True)
    return below, sorted(place for place in places if place > best)


def places_around(best, j, factor, reach) -> tuple[list[float], list[float]]:
    """Places of z_j ever further below and above the estimate ``best``."""
    sd = float(np.linalg.norm(factor.W[j]))
    if not sd or np.linalg.norm(factor.null_directions[:, j]) > MIN_SHARE:
        sd = max(abs(best), 1.0)
    steps = _growing_steps(reach * sd)
    return (best - steps).tolist(), (best + steps).tolist()


def values_beyond(kind, best, distance) -> np.ndarray:
    """Values ever further from the active bound of a parameter whose estimate is ``best``."""
    at_lower = np.isinf(kind.upper) or best - kind.lower < kind.upper - best
    span = kind.span if np.isfinite(kind.span) else max(abs(best), 1.0)
    steps = _growing_steps(min(distance, span))
    values = kind.lower + steps if at_lower else kind.upper - steps
    return values[(values > kind.lower) & (values < kind.upper)]


def distance_from_bound(linearisation, j, slope, factor, rise, likelihood) -> float:
    """How far from its active bound θ_j raises the loss by ``rise``, the others estimated anew.

        L ≈ L̂ + g d + ½ c² d²,   d = 2 (L − L̂) / (g + √(g² + 2 c² (L − L̂)))

    Args:
        linearisation, factor: at the minimum.
        j: the index of its number in z.
        slope: ∂θ_j/∂z_j.
        rise: L − L̂.
        likelihood: whether the loss is one.
    """
    R, free = np.asarray(linearisation.R, float), np.isfinite(factor.scale)
    g = abs(float(R[:, j] @ np.asarray(linearisation.q, float)))
    others = R[:, free]
    column = R[:, j]
    if free.any():
        column = column - others @ np.linalg.lstsq(others, R[:, j])[0]
    # Near its bound θ″ = θ′ with respect to z: the curvature along z contains the slope.
    c_squared = max(column @ column - likelihood * g, 0.0)
    denominator = g + np.sqrt(g**2 + 2 * c_squared * rise)
    return 2 * rise / denominator * slope if denominator > 0 else np.inf


def _growing_steps(reach) -> np.ndarray:
    """`POINTS` growing steps (POINTS,), the fourth of them just beyond ``reach``, where a parabola
    would have its bound."""
    return 1.01 * reach * np.cumsum(GROWTH ** np.arange(POINTS)) / np.sum(GROWTH ** np.arange(4))
