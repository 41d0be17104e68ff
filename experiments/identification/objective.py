"""A model of the command line as an objective of `sim.fit`, held against the records."""

import re
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from experiments.cli.instantiate import instantiate
from experiments.cli.messages import suggest
from experiments.cli.targets import resolve
from experiments.models import same_pytrees


class FitSetup(NamedTuple):
    """The objective, parameters and state that a fit starts from, units, and findings.

    Attributes:
        units: of columns.
        parameter_units: of parameters, "mass", and of initial states, "states.position".
    """

    objective: Any
    start: Any
    state: Any
    units: dict[str, str]
    parameter_units: dict[str, str]
    said: tuple[str, ...]


def fit_setup(config: Any, model: Any, data: Any, dt: float) -> FitSetup:
    """Hold a model against the data.

    Raises:
        ValueError: the model takes other inputs, has no such quantity, or no parameters.
    """
    import jax
    import jax.numpy as jnp
    from jax.tree_util import Partial

    from sim.fit import Simulation

    if not hasattr(model, "field"):
        raise ValueError(
            "model._target_: expected a function that returns a sim.models.Model, "
            f"got one that returns {type(model).__name__}"
        )
    if not isinstance(model.field, Partial) or not jax.tree.leaves(model.field.args):
        raise ValueError(
            f"model: expected a field with parameters to fit, a jax.tree_util.Partial "
            f"over them, got {model.name} without"
        )
    if len(data.inputs) != len(model.inputs):
        raise ValueError(
            f"data.input: expected {len(model.inputs)} column{'s' * (len(model.inputs) != 1)} for "
            f"{model.name} ({', '.join(model.inputs) or 'it takes no input'}), got "
            f"{len(data.inputs)}{': ' * bool(data.inputs)}{', '.join(data.inputs)}"
        )
    float_ = jnp.result_type(float)
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf, float_), model.initial)
    field, start = _split_parameters(model)
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf, float_), start)
    factory = resolve("integrator._target_", config.target("integrator"), config.allow)

    def stepper(p):
        settings = {"f": field(p), "dt": dt / config.substeps}
        found = instantiate(factory, config.groups["integrator"], "integrator", settings)
        if config.substeps == 1:
            return found
        from sim import repeat

        return found._replace(step=repeat(found.step, config.substeps))

    names, observe = _observation(model, data, state, start)
    of = dict(zip(data.inputs, model.inputs, strict=True)) | dict(
        zip(data.outputs, names, strict=True)
    )
    units, said = {}, []
    for column, quantity in of.items():
        known = model.quantities.get(re.sub(r"\[.*", "", quantity))
        given = data.column_units.get(column)
        units[column] = given or (known.units if known else "1")
        if given and known and _unit_powers(given) != _unit_powers(known.units):
            said.append(
                f"units: column {column!r} is in {given}, {quantity} of {model.name} in "
                f"{known.units}; no number was converted"
            )
    return FitSetup(
        Simulation(stepper, observe),
        start,
        state,
        units,
        _parameter_units(model, state),
        tuple(said),
    )


def _split_parameters(model):
    """The vector field as a function of its parameters, and these."""
    from jax.tree_util import Partial

    field = model.field
    if len(field.args) == 1:
        return (lambda p: Partial(field.func, p, **field.keywords)), field.args[0]
    return (lambda p: Partial(field.func, *p, **field.keywords)), field.args


def _observation(model, data, state, start):
    """What is measured of a state, one number for each column of output."""
    import jax
    import jax.numpy as jnp

    from sim.fit.parameters.vector import index_suffix
    from sim.names import leaf_names

    output = model.output
    shared = output is not None and same_pytrees(output.args, model.field.args)

    def quantities(p, y, u):
        if output is None:
            return y
        # An output over the parameters of the field follows them in the search.
        args = output.args if not shared else (p,) if len(output.args) == 1 else p
        return output.func(*args, 0.0, y, u, **output.keywords)

    u = np.zeros(len(model.inputs)) if len(model.inputs) > 1 else 0.0 if model.inputs else None
    seen = quantities(start, state, u)
    parts = {
        name: [name + index_suffix(i) for i in np.ndindex(np.shape(leaf))]
        for name, leaf in zip(leaf_names(seen), jax.tree.leaves(seen), strict=True)
    }
    numbers = [number for part in parts.values() for number in part]
    names = []
    for name in data.observed or numbers[: len(data.outputs)]:
        if name not in parts and name not in numbers:
            raise ValueError(
                f"data.observed: {model.name} has no quantity {name!r}; "
                f"{suggest(name, [*parts, *numbers])}"
            )
        names += parts.get(name, [name])
    if len(names) != len(data.outputs):
        raise ValueError(
            f"data.observed: expected one quantity for each of {len(data.outputs)} columns "
            f"({', '.join(data.outputs)}), got {len(names)} ({', '.join(names)})"
        )
    places = [numbers.index(name) for name in names]

    def observe(p, y, u):
        flat = jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(quantities(p, y, u))])
        return jnp.stack([flat[i] for i in places])

    return tuple(names), observe


def _parameter_units(model, state):
    """Units by dotted name, without the index in an array."""
    from jax.tree_util import keystr, tree_flatten_with_path

    found = dict(model.units)
    for path, _ in tree_flatten_with_path(state)[0]:
        name = keystr(path, simple=True, separator=".")
        if name in model.quantities:
            found[f"states.{name}"] = model.quantities[name].units
    return found


def _unit_powers(units: str) -> dict[str, int]:
    """Each unit with its power, however it is written.

    >>> _unit_powers("m/s^2") == _unit_powers("m s-2"), _unit_powers("mm") == _unit_powers("m")
    (True, False)
    """
    found = Counter()
    for over, name, power in re.findall(r"(/?)\s*([^\W\d]+)\^?\**(-?\d+)?", units):
        found[name] += (-1 if over else 1) * int(power or 1)
    return {name: power for name, power in found.items() if power}
