"""The dataset that a run writes: states, outputs, inputs and measurements, by name."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from experiments.cli.messages import suggest
from experiments.models import state_sizes
from experiments.simulate.blocks import Rows, rows_in_memory


def quantity_sizes(model: Any, u: Rows | None) -> dict[str, int]:
    """The number of components of every state, and of every output if the model has outputs."""
    import jax

    from sim.names import leaf_names

    if model.output is None:
        return state_sizes(model)
    y = jax.tree.map(jax.numpy.asarray, model.initial)
    output = jax.eval_shape(model.output, 0.0, y, None if u is None else u(range(1))[0])
    sizes = [leaf.size for leaf in jax.tree.leaves(output)]
    return state_sizes(model) | dict(zip(leaf_names(output), sizes, strict=True))


def measured_names(
    model: Any, reference: Mapping[str, np.ndarray], u: Rows | None
) -> dict[str, str]:
    """For each measured quantity, the name of its measurement in the file.

    Args:
        model: a `sim.models.Model`.
        reference: for a quantity, its measurement.
        u: the input, as `experiments.simulate.inputs.sampled_input` returns it.

    Raises:
        ValueError: the model has no such quantity, or the quantity has several components.
    """
    sizes = quantity_sizes(model, u)
    for quantity in reference:
        if quantity not in sizes:
            raise ValueError(
                f"input.reference.{quantity}: {model.name} has no such quantity; "
                f"{suggest(quantity, sizes)}"
            )
        if sizes[quantity] != 1:
            raise ValueError(
                f"input.reference.{quantity}: expected a quantity of one component, "
                f"got {sizes[quantity]}"
            )
    return {quantity: f"{quantity}_measured" for quantity in reference}


def file_quantities(model: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Units and description of everything in the file; ``names`` are those of the measurements."""
    from sim.models import Quantity

    quantities = dict(model.quantities)
    for quantity, name in names.items():
        units, description = quantities.get(quantity, Quantity("1", quantity))
        quantities[name] = Quantity(units, f"measured {description}")
    return quantities


def dataset_builder(
    model: Any,
    u: Rows | None,
    measurements: Mapping[str, np.ndarray],
    *,
    t0: float,
    dt: float,
    save_every: int,
    quantities: Mapping[str, Any],
) -> Callable:
    """``to_dataset(first, ys)``, the dataset of the states ``ys`` of the records from ``first`` on.

    Args:
        model: a `sim.models.Model`; if it has an output, it is computed from the states.
        u: the input, as `experiments.simulate.inputs.sampled_input` returns it.
        measurements: names and samples at every step.
        t0, dt, save_every, quantities: as for `sim.trajectory.trajectory`.
    """
    import jax
    from jax.numpy import result_type

    from sim.names import leaf_names
    from sim.trajectory import trajectory

    output = model.output and jax.jit(jax.vmap(model.output, (0, 0, None if u is None else 0)))
    measured = {name: rows_in_memory(samples) for name, samples in measurements.items()}
    build_dataset = partial(trajectory, dt=dt, t0=t0, save_every=save_every, quantities=quantities)

    def to_dataset(first, ys):
        count = len(jax.tree.leaves(ys)[0])
        steps = range(first * save_every, (first + count) * save_every, save_every)
        inputs = None if u is None else u(steps)
        signals = {}
        if u is not None:
            signals |= zip(model.inputs, inputs.reshape(count, -1).T, strict=True)
        signals |= {name: samples(steps) for name, samples in measured.items()}
        if output:
            dtype = np.dtype(result_type(float))
            t = (t0 + np.asarray(steps) * dt).astype(dtype)
            y = jax.tree.map(lambda y: np.asarray(y, dtype), ys)
            outputs = output(t, y, None if u is None else inputs.astype(dtype))
            values = map(np.asarray, jax.tree.leaves(outputs))
            signals |= zip(leaf_names(outputs), values, strict=True)
        return build_dataset(ys, first=first, signals=signals)

    return to_dataset


def initial_row(state: Any) -> Any:
    """A state as one record, in floats, as the steps return it."""
    import jax
    import jax.numpy as jnp

    return jax.tree.map(
        lambda y: np.asarray(jnp.asarray(y, jnp.result_type(y, float)))[None], state
    )
