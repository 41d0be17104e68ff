"""Constraints from what a user writes for them: objects, words of a configuration, bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sim.fit.parameters.constraints import (
    Bounded,
    Fixed,
    Free,
    ParameterConstraint,
    Positive,
    PositiveDefinite,
    Prior,
    Tied,
    Triangular,
)
from sim.messages import join_names, suggest

KINDS = {
    "free": Free(),
    "positive": Positive(),
    "fixed": Fixed(),
    "triangular": Triangular(),
    "positive_definite": PositiveDefinite(),
}


def as_constraint(kind: Any) -> ParameterConstraint | Prior:
    """The constraint, or the prior, that a kind states.

    Args:
        kind: a `ParameterConstraint` or a `Prior`; "positive", "fixed", "positive_definite",
            "triangular" or "free"; a pair of bounds of which one may be infinite; "= other" for
            a tie; or a mapping with the keys mean, sd and, if wanted, kind for a prior.

    Raises:
        ValueError: it is none of these.

    >>> as_constraint("positive"), as_constraint((0, 1)), as_constraint("= mass")
    (Positive(), Bounded(lower=0.0, upper=1.0), Tied(to='mass', factor=1.0))
    """
    if isinstance(kind, str):
        if kind.startswith("="):
            return Tied(kind[1:].strip())
        if kind not in KINDS:
            raise ValueError(f"no kind {kind!r}; {suggest(kind, KINDS)}")
        return KINDS[kind]
    if isinstance(kind, Mapping):
        return _prior_from_mapping(kind)
    if isinstance(kind, Sequence | np.ndarray) and len(kind) == 2:
        try:
            return Bounded(*map(float, kind))
        except (TypeError, ValueError):
            raise ValueError(
                f"expected two bounds that increase, inf for one "
                f"that is not there, got {join_names(kind)}"
            ) from None
    if isinstance(kind, Prior):
        return kind if kind.kind is None else replace(kind, kind=as_constraint(kind.kind))
    if not isinstance(kind, ParameterConstraint):
        raise ValueError(
            f"expected {join_names(KINDS)}, two bounds, '= name' or a prior, got {kind!r}"
        )
    return kind


def _prior_from_mapping(options: Mapping) -> Prior:
    unknown = set(options) - {"kind", "mean", "sd"}
    if unknown or not {"mean", "sd"} <= set(options):
        names = join_names(options)
        raise ValueError(f"expected the keys mean, sd and, if wanted, kind; got {names}")
    kind = None if options.get("kind") is None else as_constraint(options["kind"])
    return Prior(float(options["mean"]), float(options["sd"]), kind)
