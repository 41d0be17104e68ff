"""Parameters by name: each leaf of the user's pytree and its kind, and z from end to end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from sim.fit.parameters.constraints import (
    Bounded,
    Constraint,
    Fixed,
    Free,
    Positive,
    PositiveDefinite,
    Prior,
    Tied,
    Triangular,
)
from sim.messages import join_names, suggest
from sim.records.experiment import float_dtype


class ParameterLayout(NamedTuple):
    """The parameters of a search: hashable, so that equal ones share a compiled search.

    Attributes:
        tree: the structure of the parameters.
        names, shapes, kinds, priors: of each leaf; dotted names.
        sizes: how many numbers of z belong to each leaf.
    """

    tree: Any
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    kinds: tuple[Constraint, ...]
    priors: tuple[tuple[float, float] | None, ...]
    sizes: tuple[int, ...]


def parameter_layout(
    start: Any, kinds: Mapping[str, Any] | None = None, *, state: bool = False
) -> tuple[ParameterLayout, Any]:
    """Hold kinds against the parameters of a start, or against an initial state.

    Args:
        start: the parameters at the start, any pytree of floats; fixed ones may be flags or
            arrays of whole numbers.
        kinds: for dotted names of its leaves, or of a part of the pytree for all leaves
            in it: a kind; or in the words of a configuration "positive", "fixed",
            "positive_definite", "triangular", "free", a pair of bounds of which one may be
            infinite, "= other" for a tie. What is not named is free.
        state: whether it is an initial state, of which nothing need be searched; one that is
            a number or an array by itself has the name "state".

    Returns:
        What is declared, and z at the start (n,).

    Raises:
        ValueError: no such name or kind, a start outside its bounds, or nothing to search.

    >>> declared, z = parameter_layout({"mass": 2.0, "gain": 0.5}, {"mass": "positive", "gain": "fixed"})
    >>> z.tolist(), float(to_parameters(declared, z, {"mass": 2.0, "gain": 0.5})["gain"])
    ([0.6931471805599453], 0.5)
    """
    leaves, tree = tree_flatten_with_path(start)
    where, by, alone = (
        ("states", "state_kinds", "state") if state else ("start", "parameters", "parameter")
    )
    if not leaves and not state:
        raise ValueError("start: expected at least one parameter, got none")
    if not isinstance(kinds, Mapping | None):
        raise ValueError(f"{by}: expected kinds by name, got {type(kinds).__name__}")
    names = tuple(keystr(path, simple=True, separator=".") or alone for path, _ in leaves)
    for name, (_, leaf) in zip(names, leaves, strict=True):
        if not _is_real(leaf):
            raise ValueError(f"{where}: expected real numbers, got {name} = {leaf!r}")
    given = {}
    for name, kind in (kinds or {}).items():
        try:
            given[name] = as_constraint(kind)
        except ValueError as error:
            raise ValueError(f"{by}: {name}: {error}") from None
        if not any(_is_within(leaf, name) for leaf in names):
            raise ValueError(f"{by}: there is no {name!r}; {suggest(name, names)}")
    chosen, priors, zs, shapes = [], [], [], []
    dtype = float_dtype(*(jnp.asarray(leaf).dtype for _, leaf in leaves))
    for name, (_, leaf) in zip(names, leaves, strict=True):
        value = np.asarray(leaf, dtype)
        if not np.isfinite(value).all():
            i = tuple(map(int, np.argwhere(~np.isfinite(value))[0]))
            raise ValueError(
                f"{where}: expected finite numbers, got {name}{index_suffix(i)} = {value[i]}"
            )
        # The longest name says it most exactly.
        kind = max(((len(n), n) for n in given if _is_within(name, n)), default=None)
        kind, prior = _split_prior(given[kind[1]] if kind else None)
        kind = kind or Free()
        try:
            z = np.asarray(kind.free(value), dtype)
        except ValueError as error:
            raise ValueError(f"{by}: {name}: {error}") from None
        chosen.append(kind)
        priors.append(prior)
        zs.append(z)
        shapes.append(value.shape)
    declared = ParameterLayout(
        tree, names, tuple(shapes), tuple(chosen), tuple(priors), tuple(len(z) for z in zs)
    )
    _check_ties(declared, by)
    if not sum(declared.sizes) and not state:
        raise ValueError("parameters: expected at least one to search, got all of them fixed")
    return declared, np.concatenate([np.zeros(0, dtype), *zs])


def clip_to_start(declared: ParameterLayout, values: Any, start: Any) -> Any:
    """Values from which a search can begin: those of the start for what was left on a bound, as
    rounding may, or is beyond it.

    >>> declared = parameter_layout({"gain": 1.0, "mass": 2.0}, {"mass": "positive"})[0]
    >>> clip_to_start(declared, {"gain": 3.0, "mass": 0.0}, {"gain": 1.0, "mass": 2.0})
    {'gain': 3.0, 'mass': 2.0}
    """
    found = []
    rows = zip(declared.kinds, jax.tree.leaves(values), jax.tree.leaves(start), strict=True)
    for kind, leaf, before in rows:
        try:
            kind.free(np.asarray(leaf))
        except ValueError:
            leaf = before
        found.append(leaf)
    return jax.tree.unflatten(declared.tree, found)


def typical_scale(declared: ParameterLayout, z) -> np.ndarray:
    """The size (n,) of what is free at the start, so that a search counts in numbers near 1."""
    found, at = np.ones(len(z), z.dtype), 0
    for kind, size in zip(declared.kinds, declared.sizes, strict=True):
        if isinstance(kind, Free):
            found[at : at + size] = np.max(np.abs(z[at : at + size]), initial=0.0) or 1.0
        at += size
    return found


def as_constraint(kind: Any) -> Any:
    """A kind, or what a configuration says for one."""
    words = {
        "free": Free(),
        "positive": Positive(),
        "fixed": Fixed(),
        "triangular": Triangular(),
        "positive_definite": PositiveDefinite(),
    }
    if isinstance(kind, str):
        if kind.startswith("="):
            return Tied(kind[1:].strip())
        if kind not in words:
            raise ValueError(f"no kind {kind!r}; {suggest(kind, words)}")
        return words[kind]
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
    if isinstance(kind, Prior) and kind.kind is not None:
        return replace(kind, kind=as_constraint(kind.kind))
    if not hasattr(kind, "free") and not isinstance(kind, Prior):
        raise ValueError(
            f"expected {join_names(words)}, two bounds, '= name' or a prior, got {kind!r}"
        )
    return kind


def _prior_from_mapping(said):
    unknown = set(said) - {"kind", "mean", "sd"}
    if unknown or not {"mean", "sd"} <= set(said):
        raise ValueError(f"expected the keys mean, sd and, if wanted, kind; got {join_names(said)}")
    kind = as_constraint(said["kind"]) if said.get("kind") is not None else None
    return Prior(float(said["mean"]), float(said["sd"]), kind)


def _is_within(leaf, name):
    return leaf == name or leaf.startswith((f"{name}.", f"{name}["))


def _split_prior(kind):
    if isinstance(kind, Prior):
        return kind.kind, (kind.mean, kind.sd)
    return kind, None


def _check_ties(declared, by):
    for i, (name, kind) in enumerate(zip(declared.names, declared.kinds, strict=True)):
        if not isinstance(kind, Tied):
            continue
        if kind.to not in declared.names:
            raise ValueError(
                f"{by}: {name}: tied to {kind.to!r}; {suggest(kind.to, declared.names)}"
            )
        j = declared.names.index(kind.to)
        if isinstance(declared.kinds[j], Tied):
            raise ValueError(f"{by}: {name}: tied to {kind.to}, which is tied itself")
        if declared.shapes[j] != declared.shapes[i]:
            raise ValueError(
                f"{by}: {name}: expected the shape of {kind.to}, {declared.shapes[j]}, "
                f"got {declared.shapes[i]}"
            )


def to_parameters(declared: ParameterLayout, z, start):
    """The parameters that z makes; those that are fixed come from the start."""
    found, at = [], 0
    rows = zip(declared.kinds, declared.shapes, declared.sizes, jax.tree.leaves(start), strict=True)
    for kind, shape, size, leaf in rows:
        if isinstance(kind, Fixed):
            found.append(as_constant(leaf, z.dtype))
        elif isinstance(kind, Tied):
            found.append(None)
        else:
            found.append(kind.value(z[at : at + size], shape))
        at += size
    for i, kind in enumerate(declared.kinds):
        if isinstance(kind, Tied):
            found[i] = kind.factor * found[declared.names.index(kind.to)]
    return jax.tree.unflatten(declared.tree, found)


def as_constant(leaf, dtype):
    """A parameter that is not searched: flags and arrays of whole numbers stay what they are,
    so that a model may choose or count by them."""
    whole = isinstance(leaf, bool) or not jnp.issubdtype(getattr(leaf, "dtype", float), jnp.inexact)
    return jnp.asarray(leaf) if whole else jnp.asarray(leaf, dtype)


def _is_real(leaf):
    kind = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return kind == bool or jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)


def prior_residuals(declared: ParameterLayout, parameters) -> list:
    """(θ − mean) / sd of each parameter with a prior, flat."""
    return [
        (leaf.ravel() - prior[0]) / prior[1]
        for leaf, prior in zip(jax.tree.leaves(parameters), declared.priors, strict=True)
        if prior is not None
    ]


def free_names(declared: ParameterLayout) -> tuple[str, ...]:
    """A name for each number of the searched parameters, those of matrices with indices."""
    names = []
    for name, shape, kind in zip(declared.names, declared.shapes, declared.kinds, strict=True):
        if not isinstance(kind, Fixed | Tied):
            names += [name + index_suffix(i) for i in np.ndindex(shape)]
    return tuple(names)


def state_name(declared: ParameterLayout, i: int, name: str) -> str:
    """The name of a number of the initial state of experiment i.

    >>> state_name(parameter_layout(1.0, state=True)[0], 0, "state")
    'states[0]'
    >>> state_name(parameter_layout({"level": 1.0}, state=True)[0], 2, "level")
    'states[2].level'
    """
    alone = jax.tree_util.treedef_is_leaf(declared.tree)
    return f"states[{i}]" + (name.removeprefix("state") if alone else f".{name}")


def index_suffix(i: tuple[int, ...]) -> str:
    """Where in a leaf: "" of a scalar, "[0, 1]" of a matrix.

    >>> index_suffix(()), index_suffix((0, 1))
    ('', '[0, 1]')
    """
    return f"[{', '.join(map(str, i))}]" if i else ""
