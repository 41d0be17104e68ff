"""The layout of a parameter vector: name, shape and constraint of each leaf."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from sim.fit.parameters.constraints import Fixed, Free, ParameterConstraint, Prior, Tied
from sim.fit.parameters.names import index_suffix, is_within
from sim.fit.parameters.parse import as_constraint
from sim.messages import suggest
from sim.records.experiment import float_dtype


class ParameterLayout(NamedTuple):
    """The parameters of a search. It is hashable: equal layouts share a compiled search.

    Attributes:
        tree: the structure of the parameters.
        names, shapes, kinds, priors: of each leaf; names are dotted, a kind is its constraint.
        sizes: the count of numbers of z that each leaf has.
    """

    tree: Any
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    kinds: tuple[ParameterConstraint, ...]
    priors: tuple[tuple[float, float] | None, ...]
    sizes: tuple[int, ...]


class _Keywords(NamedTuple):
    """The arguments of `fit` that a message names."""

    start: str
    kinds: str
    leaf: str


PARAMETERS = _Keywords("start", "parameters", "parameter")
STATE = _Keywords("states", "state_kinds", "state")


def parameter_layout(
    start: Any, kinds: Mapping[str, Any] | None = None, *, state: bool = False
) -> tuple[ParameterLayout, Any]:
    """The layout of parameters, or of an initial state, and the vector z at their start.

    Args:
        start: the parameters at the start, any pytree of floats; fixed ones may be flags or
            arrays of whole numbers.
        kinds: for dotted names of its leaves, or of a part of the pytree for all leaves
            in it: a kind, as `as_constraint` takes it. All others are free.
        state: whether it is an initial state, of which all may be fixed; one that is a number
            or an array by itself has the name "state".

    Returns:
        The layout, and z at the start (n,).

    Raises:
        ValueError: no such name or kind, a start outside its bounds, or nothing to search.

    >>> start = {"mass": 2.0, "gain": 0.5}
    >>> layout, z = parameter_layout(start, {"mass": "positive", "gain": "fixed"})
    >>> layout.names, layout.sizes, z.tolist()
    (('gain', 'mass'), (0, 1), [0.6931471805599453])
    """
    keywords = STATE if state else PARAMETERS
    leaves, tree = tree_flatten_with_path(start)
    if not leaves and not state:
        raise ValueError("start: expected at least one parameter, got none")
    names = tuple(keystr(path, simple=True, separator=".") or keywords.leaf for path, _ in leaves)
    for name, (_, leaf) in zip(names, leaves, strict=True):
        if not _is_real(leaf):
            raise ValueError(f"{keywords.start}: expected real numbers, got {name} = {leaf!r}")
    constraints = _parse_kinds(kinds, names, keywords)
    dtype = float_dtype(*(jnp.asarray(leaf).dtype for _, leaf in leaves))
    rows = []
    for name, (_, leaf) in zip(names, leaves, strict=True):
        value = np.asarray(leaf, dtype)
        _check_finite(name, value, keywords)
        # The longest of several names is the most specific one.
        longest = max((n for n in constraints if is_within(name, n)), key=len, default=None)
        constraint, prior = _split_prior(constraints.get(longest, Free()))
        try:
            z = np.asarray(constraint.free(value), dtype)
        except ValueError as error:
            raise ValueError(f"{keywords.kinds}: {name}: {error}") from None
        rows.append((value.shape, constraint, prior, z))
    shapes, chosen, priors, zs = zip(*rows, strict=True) if rows else ((), (), (), ())
    layout = ParameterLayout(tree, names, shapes, chosen, priors, tuple(len(z) for z in zs))
    _check_ties(layout, keywords)
    if not sum(layout.sizes) and not state:
        raise ValueError("parameters: expected at least one to search, got all of them fixed")
    return layout, np.concatenate([np.zeros(0, dtype), *zs])


def free_names(layout: ParameterLayout) -> tuple[str, ...]:
    """A name for each number of the searched parameters; elements of arrays have indices."""
    names = []
    for name, shape, kind in zip(layout.names, layout.shapes, layout.kinds, strict=True):
        if not isinstance(kind, Fixed | Tied):
            names += [name + index_suffix(index) for index in np.ndindex(shape)]
    return tuple(names)


def _parse_kinds(kinds, names, keywords) -> dict[str, ParameterConstraint | Prior]:
    if not isinstance(kinds, Mapping | None):
        raise ValueError(f"{keywords.kinds}: expected kinds by name, got {type(kinds).__name__}")
    constraints = {}
    for name, kind in (kinds or {}).items():
        try:
            constraints[name] = as_constraint(kind)
        except ValueError as error:
            raise ValueError(f"{keywords.kinds}: {name}: {error}") from None
        if not any(is_within(leaf, name) for leaf in names):
            raise ValueError(f"{keywords.kinds}: there is no {name!r}; {suggest(name, names)}")
    return constraints


def _split_prior(constraint):
    """The constraint, and mean and sd of the prior, if there is one."""
    if isinstance(constraint, Prior):
        return constraint.kind or Free(), (constraint.mean, constraint.sd)
    return constraint, None


def _is_real(leaf):
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return any(jnp.issubdtype(dtype, kind) for kind in (np.bool_, jnp.floating, jnp.integer))


def _check_finite(name, value, keywords) -> None:
    """Raise ValueError unless all numbers of a leaf are finite."""
    if not np.isfinite(value).all():
        index = tuple(map(int, np.argwhere(~np.isfinite(value))[0]))
        raise ValueError(
            f"{keywords.start}: expected finite numbers, "
            f"got {name}{index_suffix(index)} = {value[index]}"
        )


def _check_ties(layout, keywords) -> None:
    """Raise ValueError unless each tied parameter is tied to an untied one of its shape."""
    for i, (name, kind) in enumerate(zip(layout.names, layout.kinds, strict=True)):
        if not isinstance(kind, Tied):
            continue
        if kind.to not in layout.names:
            raise ValueError(
                f"{keywords.kinds}: {name}: tied to {kind.to!r}; {suggest(kind.to, layout.names)}"
            )
        j = layout.names.index(kind.to)
        if isinstance(layout.kinds[j], Tied):
            raise ValueError(f"{keywords.kinds}: {name}: tied to {kind.to}, which is tied itself")
        if layout.shapes[j] != layout.shapes[i]:
            raise ValueError(
                f"{keywords.kinds}: {name}: expected the shape of {kind.to}, {layout.shapes[j]}, "
                f"got {layout.shapes[i]}"
            )
