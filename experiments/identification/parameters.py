"""The parameters of a fit with their errors and intervals, one row for each number."""

import re
from typing import Any, NamedTuple

import numpy as np

from experiments.identification.findings import Finding
from experiments.identification.objective import FitSetup

INTERVAL_LEVEL = 0.95


class ParameterEstimates(NamedTuple):
    """Columns of P scalar parameters, as `FitReport` describes them."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    value: np.ndarray
    start: np.ndarray
    standard_error: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    covariance: np.ndarray
    at_bound: tuple[str, ...]

    def select(self, rows: list[int]) -> "ParameterEstimates":
        """Some of the parameters."""
        return ParameterEstimates(
            tuple(self.names[i] for i in rows),
            tuple(self.units[i] for i in rows),
            *(column[rows] for column in self[2:7]),
            self.covariance[np.ix_(rows, rows)],
            self.at_bound,
        )


def parameter_estimates(setup: FitSetup, fit: Any) -> ParameterEstimates:
    """All parameters of a `sim.fit.Fit`, and the initial states that it searched.

    What is tied to a parameter has its error, times the factor of the tie.
    """
    rows = list(_scalars("", fit.params, setup.start))
    uncertainty = fit.uncertainty
    # Where each name finds its error, and by which factor.
    place = {name: (i, 1.0) for i, name in enumerate(uncertainty.names)}
    place |= _tied_places(fit.problem.layout, place)
    if len(fit.problem.order) == len(fit.states):
        for i, state in enumerate(fit.states):
            rows += [r for r in _scalars(f"states[{i}]", state, setup.state) if r[0] in place]
    names, value, start = zip(*rows, strict=True)
    count = len(names)
    error, ends = np.full(count, np.nan), np.full((count, 2), np.nan)
    covariance = np.full((count, count), np.nan)
    rated = [i for i, name in enumerate(names) if name in place]
    source, factor = (np.array(x) for x in zip(*(place[names[i]] for i in rated), strict=True))
    error[rated] = np.abs(factor) * np.asarray(uncertainty.standard_error)[source]
    ends[rated] = np.sort(uncertainty.interval(INTERVAL_LEVEL)[source] * factor[:, None])
    if uncertainty.covariance is not None:
        part = np.asarray(uncertainty.covariance)[np.ix_(source, source)]
        covariance[np.ix_(rated, rated)] = part * factor * factor[:, None]
    at_bound = tuple(bound.name for bound in uncertainty.at_bound)
    units = tuple(setup.parameter_units.get(re.sub(r"\[[\d, ]*\]", "", n), "") for n in names)
    return ParameterEstimates(
        names, units, np.array(value), np.array(start), error, *ends.T, covariance, at_bound
    )


def unidentified_parameters(uncertainty: Any) -> list[Finding]:
    """Findings about parameters that the data do not determine, or why this is not known."""
    missing = uncertainty.no_covariance
    return list(uncertainty.unidentified) if missing is None else [missing]


def _scalars(stem, tree, start):
    """The name, the value and the start of each number in a tree."""
    import jax
    from jax.tree_util import keystr, tree_flatten_with_path

    from sim.fit.parameters.names import index_suffix

    leaves = zip(tree_flatten_with_path(tree)[0], jax.tree.leaves(start), strict=True)
    for (path, leaf), first in leaves:
        dotted = keystr(path, simple=True, separator=".")
        name = ".".join(filter(None, [stem, dotted])) or "parameter"
        leaf, first = np.asarray(leaf, float), np.asarray(first, float)
        for i in np.ndindex(leaf.shape):
            yield name + index_suffix(i), leaf[i], first[i]


def _tied_places(layout, place):
    """For each tied number, the place of the error it takes, and the factor of the tie."""
    from sim.fit.parameters.constraints import Tied
    from sim.fit.parameters.names import index_suffix

    rows = zip(layout.names, layout.shapes, layout.kinds, strict=True)
    return {
        name + index_suffix(i): (place[kind.to + index_suffix(i)][0], kind.factor)
        for name, shape, kind in rows
        if isinstance(kind, Tied)
        for i in np.ndindex(shape)
        if kind.to + index_suffix(i) in place
    }
