"""A model that a configuration names, as an objective of `sim.fit` for the records."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.cli.config import Config
from experiments.cli.instantiate import instantiate
from experiments.cli.messages import suggest
from experiments.cli.targets import resolve
from experiments.identification.data import Data
from experiments.identification.findings import Finding, UnitsDiffer
from experiments.models import same_pytrees


class FitSetup(NamedTuple):
    """A model or a network as an objective, and what a search of it starts from.

    Attributes:
        objective: a `sim.fit.Simulation` in the units of the records.
        start: the parameters to start from.
        state: the initial state to start from; None for a network that begins at rest.
        units: of columns.
        parameter_units: of parameters, "mass", and of initial states, "states.position".
        warnings: findings about the model and the records.
        scaling: of a network, `sim.rnn.Scaling` or `StateScaling`; None of a model alone.
    """

    objective: Any
    start: Any
    state: Any
    units: Mapping[str, str]
    parameter_units: Mapping[str, str]
    warnings: tuple[Finding, ...]
    scaling: Any = None


def fit_setup(config: Config, model: Any, data: Data, dt: float) -> FitSetup:
    """Make a model an objective for the data.

    Args:
        config: the run, for its integrator.
        model: a `sim.models.Model`.
        data: the columns and the quantities they measure.
        dt: the sample interval, s.

    Raises:
        ValueError: the model takes other inputs, has no such quantity, or no parameters.
    """
    import jax
    import jax.numpy as jnp
    from jax.tree_util import Partial

    from sim.fit import Simulation
    from sim.models import Model

    if not isinstance(model, Model):
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
    dtype = jnp.result_type(float)
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), model.initial)
    field, start = _split_parameters(model)
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), start)
    factory = resolve("integrator._target_", config.target("integrator"), config.allow)

    def stepper(params):
        settings = {"f": field(params), "dt": dt / config.substeps}
        one = instantiate(factory, config.groups["integrator"], "integrator", settings)
        if config.substeps == 1:
            return one
        from sim import repeat

        return one._replace(step=repeat(one.step, config.substeps))

    names, observe = _observation(model, data, state, start)
    units, warnings = _column_units(model, data, names)
    return FitSetup(
        Simulation(stepper, observe), start, state, units, _parameter_units(model, state), warnings
    )


def _column_units(model, data, observed):
    """Units of every column, and a finding for each that the model states otherwise."""
    quantities = dict(zip(data.inputs, model.inputs, strict=True))
    quantities |= dict(zip(data.outputs, observed, strict=True))
    units, warnings = {}, []
    for column, name in quantities.items():
        quantity = model.quantities.get(re.sub(r"\[.*", "", name))
        stated = data.column_units.get(column)
        units[column] = stated or (quantity.units if quantity else "1")
        if stated and quantity and _unit_powers(stated) != _unit_powers(quantity.units):
            warnings.append(UnitsDiffer(column, stated, name, model.name, quantity.units))
    return units, tuple(warnings)


def _split_parameters(model):
    """The vector field as a function of its parameters, and the parameters."""
    from jax.tree_util import Partial

    field = model.field
    if len(field.args) == 1:
        return (lambda p: Partial(field.func, p, **field.keywords)), field.args[0]
    return (lambda p: Partial(field.func, *p, **field.keywords)), field.args


def _observation(model, data, state, start):
    """The names of the measured numbers, one for each column of output, and their function."""
    import jax
    import jax.numpy as jnp

    from sim.fit.parameters.names import index_suffix
    from sim.names import leaf_names

    output = model.output
    shared = output is not None and same_pytrees(output.args, model.field.args)

    def quantities(p, y, u):
        if output is None:
            return y
        # An output with the parameters of the field follows them in the search.
        args = output.args if not shared else (p,) if len(output.args) == 1 else p
        return output.func(*args, 0.0, y, u, **output.keywords)

    u = np.zeros(len(model.inputs)) if len(model.inputs) > 1 else 0.0 if model.inputs else None
    values = quantities(start, state, u)
    parts = {
        name: [name + index_suffix(i) for i in np.ndindex(np.shape(leaf))]
        for name, leaf in zip(leaf_names(values), jax.tree.leaves(values), strict=True)
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

    names = [
        keystr(path, simple=True, separator=".") for path, _ in tree_flatten_with_path(state)[0]
    ]
    quantities = {name: model.quantities[name] for name in names if name in model.quantities}
    return {**model.units, **{f"states.{name}": q.units for name, q in quantities.items()}}


def _unit_powers(units: str) -> dict[str, int]:
    """Each unit and its power, which do not depend on how they are written.

    >>> _unit_powers("m/s^2") == _unit_powers("m s-2"), _unit_powers("mm") == _unit_powers("m")
    (True, False)
    """
    powers = Counter()
    for slash, name, power in re.findall(r"(/?)\s*([^\W\d]+)\^?\**(-?\d+)?", units):
        powers[name] += (-1 if slash else 1) * int(power or 1)
    return {name: power for name, power in powers.items() if power}
