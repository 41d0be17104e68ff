"""Parameters from the vector z of a search, and what else follows from their layout."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.parameters.constraints import Fixed, Free, Tied
from sim.fit.parameters.layout import ParameterLayout


def to_parameters(layout: ParameterLayout, z, start):
    """The parameters at z (n,); those that are fixed are taken from the start.

    >>> from sim.fit.parameters.layout import parameter_layout
    >>> start = {"mass": 2.0, "gain": 0.5}
    >>> layout, z = parameter_layout(start, {"mass": "positive", "gain": "fixed"})
    >>> {name: float(value) for name, value in to_parameters(layout, 0 * z, start).items()}
    {'gain': 0.5, 'mass': 1.0}
    """
    leaves, first = [], 0
    rows = zip(layout.kinds, layout.shapes, layout.sizes, jax.tree.leaves(start), strict=True)
    for kind, shape, size, leaf in rows:
        if isinstance(kind, Fixed):
            leaves.append(as_constant(leaf, z.dtype))
        elif isinstance(kind, Tied):
            leaves.append(None)
        else:
            leaves.append(kind.value(z[first : first + size], shape))
        first += size
    for i, kind in enumerate(layout.kinds):
        if isinstance(kind, Tied):
            leaves[i] = kind.factor * leaves[layout.names.index(kind.to)]
    return jax.tree.unflatten(layout.tree, leaves)


def as_constant(leaf, dtype):
    """A parameter that is not searched. Flags and arrays of whole numbers keep their type, so
    that a model may branch or count by them."""
    dtype_of_leaf = getattr(leaf, "dtype", float)
    whole = isinstance(leaf, bool) or not jnp.issubdtype(dtype_of_leaf, jnp.inexact)
    return jnp.asarray(leaf) if whole else jnp.asarray(leaf, dtype)


def clip_to_start(layout: ParameterLayout, values: Any, start: Any) -> Any:
    """Values from which a search can begin: where rounding has left one on a bound or beyond it,
    that of the start.

    >>> from sim.fit.parameters.layout import parameter_layout
    >>> layout = parameter_layout({"gain": 1.0, "mass": 2.0}, {"mass": "positive"})[0]
    >>> clip_to_start(layout, {"gain": 3.0, "mass": 0.0}, {"gain": 1.0, "mass": 2.0})
    {'gain': 3.0, 'mass': 2.0}
    """
    leaves = []
    rows = zip(layout.kinds, jax.tree.leaves(values), jax.tree.leaves(start), strict=True)
    for kind, value, start_value in rows:
        try:
            kind.free(np.asarray(value))
        except ValueError:
            value = start_value
        leaves.append(value)
    return jax.tree.unflatten(layout.tree, leaves)


def typical_scale(layout: ParameterLayout, z) -> np.ndarray:
    """The unit (n,) of each number of z: the size of a free parameter at the start, else 1."""
    scale, first = np.ones(len(z), z.dtype), 0
    for kind, size in zip(layout.kinds, layout.sizes, strict=True):
        numbers = slice(first, first + size)
        if isinstance(kind, Free):
            scale[numbers] = np.max(np.abs(z[numbers]), initial=0.0) or 1.0
        first += size
    return scale


def prior_residuals(layout: ParameterLayout, parameters) -> list:
    """(θ − mean) / sd of each parameter with a prior, flat."""
    return [
        (leaf.ravel() - prior[0]) / prior[1]
        for leaf, prior in zip(jax.tree.leaves(parameters), layout.priors, strict=True)
        if prior is not None
    ]
