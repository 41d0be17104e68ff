"""A trained network on disk: its parameters, its scaling, its configuration."""

import json
import os
from collections.abc import Mapping
from importlib import metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from sim.rnn.hybrid import StateScaling
from sim.rnn.scaling import Scaling

PACKAGES = ("scansim", "jax", "jaxlib", "numpy", "netCDF4")


class Saved(NamedTuple):
    """The contents of a file.

    Attributes:
        params: in the structure of ``like``; without it a dict from dotted names to arrays.
        scaling: as it was saved, or None.
        config: as it was saved, or None.
        versions: of the packages that wrote it.
    """

    params: Any
    scaling: Scaling | StateScaling | None
    config: Any
    versions: dict[str, str]


def save(
    path: str | os.PathLike,
    params: Any,
    *,
    scaling: Scaling | StateScaling | None = None,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Write parameters as NetCDF, bit for bit, so that ``path`` always holds a whole file.

    Each leaf is a variable with its dotted name: ``params.W``, ``params.net.0.b``.

    Args:
        path: the file, replaced if it is there.
        params: any pytree of real arrays.
        scaling: kept beside them.
        config: what is needed to build the network again; anything that JSON can hold.

    Raises:
        ValueError: a leaf is no array of real numbers, or JSON cannot hold the config.
        OSError: it cannot be written; the message names the file.

    Reference: NetCDF-4; no pickle.

    >>> import tempfile
    >>> from sim.rnn import gru_params
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/gru.nc", gru_params(jax.random.key(0), 1, 4), config={"hidden": 4})
    ...     found = load(f"{folder}/gru.nc")
    >>> found.config, found.params["W"].shape
    ({'hidden': 4}, (1, 12))
    """
    from sim import arrays  # netCDF4 is loaded only where files are

    attributes = {"source": "scansim", "versions": json.dumps(_versions())}
    try:
        attributes["config"] = json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config: expected what JSON can hold, got {error}") from None
    leaves = _arrays_by_name("params", params)
    if scaling is not None:
        if not isinstance(scaling, Scaling | StateScaling):
            raise ValueError(
                f"scaling: expected a Scaling or a StateScaling, got {type(scaling).__name__}"
            )
        attributes["scaling"] = type(scaling).__name__
        leaves |= _arrays_by_name("scaling", scaling)
    arrays.write(path, leaves, attributes)


def load(path: str | os.PathLike, like: Any = None) -> Saved:
    """Read what `save` wrote.

    Args:
        path: the file.
        like: parameters of the network they are for, or ``jax.ShapeDtypeStruct``s of them
            (``jax.eval_shape(partial(gru_params, inputs=1, hidden=8), key)``): the file
            must fit their structure, which is restored.

    Returns:
        `Saved`.

    Raises:
        ValueError: the weights are of another architecture (the message names the leaf), or
            have 64 bits while JAX has 32.
        OSError: there is no such file, or `save` did not write it.
    """
    from sim import arrays  # as above

    stored, attributes = arrays.read_arrays(path)
    if attributes.get("source") != "scansim" or "config" not in attributes:
        raise OSError(f"{path}: expected a network that `save` wrote, got another file")
    scaling = None
    if "scaling" in attributes:
        kind = {kind.__name__: kind for kind in (Scaling, StateScaling)}[attributes["scaling"]]
        scaling = kind(*(jnp.asarray(stored.pop(f"scaling.{name}")) for name in kind._fields))
    params = {name.removeprefix("params").removeprefix("."): x for name, x in stored.items()}
    if like is None:
        for name, x in params.items():
            if jax.dtypes.canonicalize_dtype(x.dtype) != x.dtype:
                raise ValueError(
                    f"params.{name}: expected jax_enable_x64, as it is {x.dtype} in {path}, "
                    "got it switched off"
                )
    params = params if like is None else _restore(path, params, like)
    config, versions = (json.loads(attributes[name]) for name in ("config", "versions"))
    return Saved(jax.tree.map(jnp.asarray, params), scaling, config, versions)


def _arrays_by_name(tree, leaves):
    """Arrays by dotted name; a pytree that is one array has the name of the tree alone."""
    arrays = {}
    for path, leaf in tree_flatten_with_path(leaves)[0]:
        name = ".".join(part for part in (tree, _dotted_name(path)) if part)
        if name in arrays or "/" in name:
            raise ValueError(f"{name}: expected a name of its own, without '/'")
        arrays[name] = np.asarray(leaf)
    return arrays


def _dotted_name(path):
    return keystr(path, simple=True, separator=".")


def _restore(path, params, like):
    """The arrays in the structure of ``like``; ValueError unless shapes and dtypes agree."""
    leaves, tree = tree_flatten_with_path(like)
    expected = {_dotted_name(key_path): _shape_of(leaf) for key_path, leaf in leaves}
    got = {name: _shape_of(array) for name, array in params.items()}
    for name in {**expected, **got}:
        wanted, stored = expected.get(name, "none"), got.get(name, "none")
        if wanted != stored:
            full = f"params.{name}" if name else "params"
            raise ValueError(f"{full}: expected {wanted}, got {stored} in {path}")
    return jax.tree.unflatten(tree, [params[name] for name in expected])


def _shape_of(leaf):
    leaf = leaf if hasattr(leaf, "shape") else jnp.asarray(leaf)
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"


def _versions():
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "(not installed)"
    return versions
