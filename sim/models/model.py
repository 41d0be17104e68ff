"""A vector field with all that a run needs to simulate, label and save it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Quantity(NamedTuple):
    """A physical quantity's units (UDUNITS) and its name in words."""

    units: str
    long_name: str


class Model(NamedTuple):
    """A vector field with its parameters bound, and names and units of its quantities.

    Attributes:
        name: the model's name, one word.
        field: ``f(t, y, u) -> dy/dt``, a `jax.tree_util.Partial` over the parameters.
        initial: the initial state, a NamedTuple whose fields name the state.
        quantities: units and words for every state, input and output name.
        inputs: names of the inputs. With none the model is autonomous and u is None;
            with one u is a scalar; with several u is an array whose last axis has this
            order.
        output: ``g(t, y, u)``, the measured quantities as a NamedTuple, or None
            where the states are what is measured.
        units: of the parameters, by name; unknown ones are left out.
    """

    name: str
    field: Callable[..., Any]
    initial: Any
    quantities: Mapping[str, Quantity]
    inputs: tuple[str, ...] = ()
    output: Callable[..., Any] | None = None
    units: Mapping[str, str] = MappingProxyType({})
