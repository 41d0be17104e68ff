"""Stacked outputs with names, units and time: ys to an `xarray.Dataset`."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import xarray

from sim.names import leaf_names


def trajectory(
    ys: Any,
    *,
    dt: float,
    t0: float = 0.0,
    save_every: int = 1,
    first: int = 1,
    initial: Any = None,
    signals: Any = None,
    quantities: Mapping[str, Any] | None = None,
    ensemble: bool = False,
) -> xarray.Dataset:
    """The labelled trajectory of a rollout.

        time[r] = t0 + r·n·dt,   n = save_every; record 0 is the initial state

    Args:
        ys: any pytree of arrays (time, ...), or (time, member, ...) for an ensemble:
            ``ys[k]`` belongs to the end of a step. A leaf is called by the last name
            on its path (a field of a NamedTuple, a key), "y" where there is none.
        dt: step length, s; negative for a run backwards in time.
        t0: time of the initial state, s.
        save_every: n, steps per record.
        first: the record that ``ys[0]`` is: 1 at the end of the first n steps.
        initial: the initial state, with the structure of one record of ``ys``; it
            becomes record 0. Only this function ever prepends it.
        signals: named arrays on the same times (record 0 included): inputs and
            measurements; shared by all members.
        quantities: name to (units, long_name), as in `sim.models.Model`; may lack
            names and may hold more.
        ensemble: the second axis is the member.

    Returns:
        One variable per leaf. A leaf with further axes has them as dimensions
        ``NAME_index``, ``NAME_index_2``, ..., with integer coordinates.

    Raises:
        ValueError: lengths, structures, shapes or names do not fit.

    Reference: CF Conventions 1.11, sections 3 and 4 (cfconventions.org).

    >>> import numpy as np
    >>> theta = trajectory({"theta": np.array([0.5, 0.2])}, dt=0.1, initial={"theta": 1.0},
    ...                    quantities={"theta": ("rad", "angle")}).theta
    >>> theta.time.values.tolist(), theta.values.tolist(), theta.units
    ([0.0, 0.1, 0.2], [1.0, 0.5, 0.2], 'rad')
    """
    names = leaf_names(ys)
    arrays = [np.asarray(y) for y in jax.tree.leaves(ys)]
    if not arrays:
        raise ValueError("ys: expected at least one array, got none")
    lead = 2 if ensemble else 1
    axes = "(time, member, ...)" if ensemble else "(time, ...)"
    for name, y in zip(names, arrays, strict=True):
        if y.ndim < lead or y.shape[:lead] != arrays[0].shape[:lead]:
            raise ValueError(
                f"ys: expected leading axes {axes} of one shape, "
                f"got {names[0]} {arrays[0].shape}, {name} {y.shape}"
            )
    if initial is not None:
        if first != 1:
            raise ValueError(f"first: expected 1 where initial is given, got {first!r}")
        arrays, first = _prepend(names, arrays, ys, initial), 0

    count = len(arrays[0])
    variables = {}
    for name, y in zip(names, arrays, strict=True):
        dims = ("time", "member")[:lead]
        _add(variables, name, y, dims, quantities or {})
    for name, y in zip(leaf_names(signals, "signal"), jax.tree.leaves(signals), strict=True):
        y = np.asarray(y)
        if name in variables or name in ("time", "member"):
            raise ValueError(f"signals: expected names not taken by ys, got {name!r}")
        if y.shape[:1] != (count,):
            raise ValueError(f"signals: expected {name} with {count} records, got shape {y.shape}")
        _add(variables, name, y, ("time",), quantities or {})
    records = np.arange(first, first + count) * save_every
    time_attributes = {"units": "s", "long_name": "elapsed time"}
    variables["time"] = xarray.Variable("time", t0 + records * float(dt), time_attributes)
    if ensemble:
        attributes = {"units": "1", "standard_name": "realization", "long_name": "ensemble member"}
        members = np.arange(arrays[0].shape[1], dtype=np.int32)
        variables["member"] = xarray.Variable("member", members, attributes)
    coordinates = {name: v for name, v in variables.items() if v.dims == (name,)}
    rest = {name: v for name, v in variables.items() if name not in coordinates}
    dataset = xarray.Dataset(rest, coordinates)
    for name in dataset.variables:
        dataset[name].encoding["_FillValue"] = None if name in coordinates else _fill(dataset[name])
    return dataset


def _prepend(names, arrays, ys, initial):
    if jax.tree.structure(initial) != jax.tree.structure(ys):
        raise ValueError(
            f"initial: expected the structure of ys, {jax.tree.structure(ys)}, "
            f"got {jax.tree.structure(initial)}"
        )
    joined = []
    for name, y, start in zip(names, arrays, jax.tree.leaves(initial), strict=True):
        start = np.asarray(start, y.dtype)
        if start.shape != y.shape[1:]:
            raise ValueError(f"initial: expected {name} {y.shape[1:]}, got {start.shape}")
        joined.append(np.concatenate([start[None], y]))
    return joined


def _add(variables, name, y, dims, quantities):
    if y.dtype == bool:
        y = y.astype(np.int8)
    extra_dims = range(1, y.ndim - len(dims) + 1)
    extra_dims = [f"{name}_index" if i == 1 else f"{name}_index_{i}" for i in extra_dims]
    for dim, size in zip(extra_dims, y.shape[len(dims) :], strict=True):
        attributes = {"units": "1", "long_name": f"index into {name}"}
        variables[dim] = xarray.Variable(dim, np.arange(size, dtype=np.int32), attributes)
    attributes = {"long_name": name}
    if name in quantities:
        attributes = dict(zip(("units", "long_name"), quantities[name], strict=True))
    variables[name] = xarray.Variable((*dims, *extra_dims), y, attributes)


def _fill(variable):
    return np.nan if variable.dtype.kind == "f" else None
