"""What a run writes: its states by name, beside what drove them and what was measured."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from experiments.cli.messages import suggest
from experiments.models import state_sizes
from experiments.simulate.blocks import Rows, rows_in_memory


def quantity_sizes(model: Any, u: Rows | None) -> dict[str, int]:
    """Components of every quantity that a run computes: states, and outputs if it has any."""
    import jax

    from sim.names import leaf_names

    if model.output is None:
        return state_sizes(model)
    y = jax.tree.map(jax.numpy.asarray, model.initial)
    found = jax.eval_shape(model.output, 0.0, y, None if u is None else u(range(1))[0])
    outputs = [leaf.size for leaf in jax.tree.leaves(found)]
    return state_sizes(model) | dict(zip(leaf_names(found), outputs, strict=True))


def measured_names(model: Any, record: Any, u: Rows | None) -> dict[str, str]:
    """For each quantity that the record measures, the name of its measurement in the file.

    Raises:
        ValueError: the model has no such quantity, or one of several components.
    """
    known = quantity_sizes(model, u)
    reference = record.reference if record else {}
    for quantity in reference:
        if quantity not in known:
            raise ValueError(
                f"input.reference.{quantity}: {model.name} has no such quantity; "
                f"{suggest(quantity, known)}"
            )
        if known[quantity] != 1:
            raise ValueError(
                f"input.reference.{quantity}: expected a quantity of one component, "
                f"got {known[quantity]}"
            )
    return {quantity: f"{quantity}_measured" for quantity in reference}


def file_quantities(model: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Units and words of everything in the file, measurements under their ``names`` included."""
    from sim.models import Quantity

    known = dict(model.quantities)
    for quantity, name in names.items():
        units, words = known.get(quantity, Quantity("1", quantity))
        known[name] = Quantity(units, f"measured {words}")
    return known


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
    """``label(first, ys)``, the dataset of the records from ``first`` on.

    Args:
        model: its states are ``ys``; its output, if it has one, is computed from them.
        u: the input at a range of steps, as `experiments.simulate.inputs.sampled_input` gives it, or None.
        measurements: names and samples at every step.
        t0, dt, save_every, quantities: as for `sim.trajectory.trajectory`.
    """
    import jax
    from jax.numpy import result_type

    from sim.names import leaf_names
    from sim.trajectory import trajectory

    output = model.output and jax.jit(jax.vmap(model.output, (0, 0, None if u is None else 0)))
    held = {name: rows_in_memory(samples) for name, samples in measurements.items()}
    named = partial(trajectory, dt=dt, t0=t0, save_every=save_every, quantities=quantities)

    def label(first, ys):
        count = len(jax.tree.leaves(ys)[0])
        at = range(first * save_every, (first + count) * save_every, save_every)
        driven = None if u is None else u(at)
        beside = (
            {} if u is None else dict(zip(model.inputs, driven.reshape(count, -1).T, strict=True))
        )
        beside |= {name: samples(at) for name, samples in held.items()}
        if output:
            kind = np.dtype(result_type(float))
            t = (t0 + np.asarray(at) * dt).astype(kind)
            y = jax.tree.map(lambda y: np.asarray(y, kind), ys)
            found = output(t, y, None if u is None else driven.astype(kind))
            beside |= dict(
                zip(leaf_names(found), map(np.asarray, jax.tree.leaves(found)), strict=True)
            )
        return named(ys, first=first, signals=beside)

    return label


def initial_row(state: Any) -> Any:
    """A state as the steps will give it, one record long: whole numbers become floats."""
    import jax
    import jax.numpy as jnp

    return jax.tree.map(
        lambda y: np.asarray(jnp.asarray(y, jnp.result_type(y, float)))[None], state
    )
