"""Scaling of records to numbers near 1, and a network between units and scaled numbers."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sim import Stepper, check
from sim.records.experiment import Experiment, column_scale


class Scaling(NamedTuple):
    """Mean and scale of inputs and outputs, saved with the network.

    Attributes:
        u_mean, u_scale: (inputs,).
        y_mean, y_scale: (outputs,).
    """

    u_mean: Any
    u_scale: Any
    y_mean: Any
    y_scale: Any


def scaling(experiments: Experiment | Sequence[Experiment]) -> Scaling:
    """Means and standard deviations over all experiments.

    Args:
        experiments: with xs (N, inputs) and y (N, outputs), where NaN is missing.

    Raises:
        ValueError: an input is not an array (N, inputs), widths differ, a number is infinite,
            or a column holds only NaN.

    >>> found = scaling(Experiment(jnp.array([[1.0], [3.0]]), jnp.array([[2.0], [2.0]])))
    >>> found.u_mean.tolist(), found.u_scale.tolist(), found.y_scale.tolist()
    ([2.0], [1.0], [1.0])
    """
    if isinstance(experiments, Experiment):
        experiments = (experiments,)
    first = experiments[0]
    for i, e in enumerate(experiments):
        for name, x, like in (("xs", e.xs, first.xs), ("y", e.y, first.y)):
            width = np.shape(like)[1:]
            if len(np.shape(x)) != 2 or np.shape(x)[1:] != width:
                raise ValueError(
                    f"experiments[{i}].{name}: expected an array (N, "
                    f"{width[0] if width else 'width'}), got shape {np.shape(x)}"
                )
    u, y = (np.concatenate([np.asarray(e[i]) for e in experiments]) for i in (0, 1))
    for name, x in (("xs", u), ("y", y)):
        if np.isinf(x).any():
            raise ValueError(
                f"{name}: expected finite numbers, or NaN where one is missing, got infinity"
            )
        empty = np.isnan(x).all(axis=0)
        if empty.any():
            raise ValueError(f"{name}: expected numbers, got NaN only in column {np.argmax(empty)}")
    moments = [moment(x) for x in (u, y) for moment in (partial(np.nanmean, axis=0), column_scale)]
    return Scaling(*(jnp.asarray(x, jnp.result_type(float)) for x in moments))


def scale_stepper(stepper: Stepper, scaling: Scaling) -> Stepper:
    """The stepper in the units of the record:

        y = ȳ + σ_y ⊙ step((u − ū) / σ_u)

    Args:
        stepper: takes (..., inputs) and emits (..., outputs), in numbers near 1.
        scaling: of `scaling`; its dtype is that of the stepper.

    Raises:
        ValueError: from the step, u or y does not fit the width of the scaling, or holds
            integers, to which a scaling would be rounded.

    >>> from sim import rollout
    >>> itself = Stepper(lambda: (), lambda c, x: (c, x))
    >>> by = Scaling(*map(jnp.atleast_1d, (10.0, 2.0, 1.0, 3.0)))
    >>> scale_stepper(itself, by).step((), jnp.array([14.0]))[1].tolist()
    [7.0]
    """
    return Stepper(stepper.init, Partial(_step, stepper.step, scaling))


def _step(step, scaling, carry, u):
    u = _wide("u", u, scaling.u_mean)
    scale = jax.tree.map(lambda x: jnp.asarray(x, u.dtype), scaling)
    u = (u - jnp.broadcast_to(scale.u_mean, u.shape)) / jnp.broadcast_to(scale.u_scale, u.shape)
    carry, y = check.pair(step(carry, u))
    y = _wide("y", y, scaling.y_mean)
    y = jnp.broadcast_to(scale.y_mean, y.shape) + jnp.broadcast_to(scale.y_scale, y.shape) * y
    return carry, y


def _wide(name, x, mean):
    """x as a floating array; ValueError unless it has the width of the scaling."""
    width = np.shape(mean)
    got = check.describe(x)
    if jax.tree.structure(x) == jax.tree.structure(0):
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"{name}: expected floating-point numbers, got {x.dtype}")
        if x.shape[-1:] == width:
            return x
        got = f"shape {x.shape}"
    raise ValueError(f"{name}: expected (..., {width[0]}), as the scaling has, got {got}")
