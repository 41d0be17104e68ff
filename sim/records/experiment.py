"""Recorded experiments, in the form that a rollout takes."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim.inputs import zero_order_hold
from sim.times import sample_interval

# Intervals that differ by less than this share count as equal.
MAX_CLOCK_DRIFT = 5e-3


class Experiment(NamedTuple):
    """One record: what entered each of N steps, and what was observed after it.

    Attributes:
        xs: what enters the steps, a pytree with the leading axis N, or None.
        y: (N, outputs), observed at the end of each step; NaN is missing.
        y0: (outputs,), observed before the first step; None where the model does not describe
            that instant.
        dt: the interval between samples in s, the same in all experiments of a fit; None where
            it is not known.
    """

    xs: Any
    y: Any
    y0: Any = None
    dt: Any = None


def experiment_from_samples(t, u, y, hold: Callable = zero_order_hold) -> Experiment:
    """T samples of input and output at the same instants, as T − 1 steps between them.

    Args:
        t: (T,) times in s, regular.
        u: input, any pytree of (T, …), or None.
        y: (T,) or (T, outputs); NaN is missing.
        hold: what the input does between samples, of `sim.inputs`: `zero_order_hold`,
            `first_order_hold`, `cubic`, `band_limited`.

    Returns:
        An `Experiment` of T − 1 steps; the first sample of y is its y0. The step of the model
        must be the interval of t.

    Raises:
        ValueError: sizes differ, times are irregular, an input is not finite, or no
            output is.

    >>> t, u, y = [0.0, 0.1, 0.2], jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0, 3.0])
    >>> e = experiment_from_samples(t, u, y)
    >>> e.y.tolist(), e.y0.tolist()
    ([[1.0], [3.0]], [0.0])
    """
    y = as_outputs(y)
    if len(y) != len(np.asarray(t)):
        raise ValueError(f"y: expected {len(np.asarray(t))} samples, as many as t, got {len(y)}")
    for leaf in jax.tree.leaves(u):
        if not np.isfinite(np.asarray(leaf)).all():
            raise ValueError("u: expected finite samples; an input cannot have gaps")
    dt = sample_interval(t)
    xs = None if u is None else jax.tree.map(jnp.asarray, hold(t, u))
    return Experiment(xs, jnp.asarray(y[1:]), jnp.asarray(y[0]), dt)


def as_outputs(y) -> np.ndarray:
    """Observed samples as (T, outputs).

    Raises:
        ValueError: another shape, an infinite sample, or an output without samples.
    """
    y = np.asarray(y)
    if y.ndim not in (1, 2) or not np.issubdtype(y.dtype, np.number) or np.iscomplexobj(y):
        raise ValueError(f"y: expected real samples (T,) or (T, outputs), got {y.dtype}{y.shape}")
    y = y.astype(float_dtype(y.dtype)).reshape(len(y), -1)
    if np.isinf(y).any():
        raise ValueError("y: expected finite samples, or NaN where one is missing, got infinity")
    empty = np.isnan(y).all(axis=0)
    if empty.any():
        raise ValueError(f"y: expected samples, got NaN only in output {int(np.argmax(empty))}")
    return y


def validate_experiments(experiments: Experiment | Sequence[Experiment]) -> tuple[Experiment, ...]:
    """One or several experiments as a tuple, with y as floats.

    Raises:
        ValueError: there is none, the number of outputs differs, an output has no sample, or the
            intervals differ.
    """
    if isinstance(experiments, Experiment):
        experiments = (experiments,)
    experiments = tuple(experiments)
    if not experiments:
        raise ValueError("experiments: expected at least one, got none")
    for i, e in enumerate(experiments):
        if not isinstance(e, Experiment):
            raise ValueError(f"experiments[{i}]: expected an Experiment, got {type(e).__name__}")
        first = np.shape(experiments[0].y)
        width = first[1] if len(first) == 2 else "outputs"
        if np.ndim(e.y) != 2 or np.shape(e.y)[1] != width or not len(e.y):
            raise ValueError(
                f"experiments[{i}].y: expected shape (N, {width}) with N above 0, "
                f"got {np.shape(e.y)}"
            )
        if e.y0 is not None and np.shape(e.y0) != (width,):
            raise ValueError(
                f"experiments[{i}].y0: expected shape ({width},), got {np.shape(e.y0)}"
            )
    known = [(float(e.dt), i) for i, e in enumerate(experiments) if e.dt is not None]
    for dt, i in known:
        if abs(dt / known[0][0] - 1) > MAX_CLOCK_DRIFT:
            raise ValueError(
                f"experiments[{i}]: expected samples {known[0][0]:g} s apart, as "
                f"experiments[{known[0][1]}] has, for a model has one step; got {dt:g} s"
            )
    experiments = tuple(
        e._replace(y=_as_floats(e.y), y0=_as_floats(e.y0), dt=None) for e in experiments
    )
    together = np.concatenate([np.asarray(e.y) for e in experiments])
    as_outputs(together)
    return experiments


def check_same_structure(experiments: Sequence[Experiment]) -> None:
    """Raise ValueError unless the inputs of all experiments have one structure and, apart from
    the length, one shape."""
    kinds = {}
    for i, e in enumerate(experiments):
        shapes = tuple(np.shape(leaf)[1:] for leaf in jax.tree.leaves(e.xs))
        kinds.setdefault((jax.tree.structure(e.xs), shapes), i)
    if len(kinds) > 1:
        first, other = list(kinds.values())[:2]
        raise ValueError(
            f"experiments: expected inputs of one structure, to lie side by side in windows, "
            f"got others in {other} than in {first}"
        )


def _as_floats(y):
    """Samples as floats, since only floats can be missing."""
    if y is None or (hasattr(y, "dtype") and jnp.issubdtype(y.dtype, jnp.inexact)):
        return y
    return np.asarray(y, float_dtype())


def output_scale(experiments: Sequence[Experiment]) -> np.ndarray:
    """The standard deviation of each output over all experiments, (outputs,): the unit of its
    residuals. 1 for a constant output."""
    return column_scale(np.concatenate([np.asarray(e.y) for e in experiments]))


def column_scale(x: np.ndarray) -> np.ndarray:
    """The standard deviation of each column, 1 for a constant one.

    >>> column_scale(np.full((100, 1), 0.1)).tolist()
    [1.0]
    """
    sd, largest = np.nanstd(x, axis=0), np.nanmax(np.abs(x), axis=0)
    # The mean of equal numbers may differ from them by rounding.
    rounding = 8 * np.finfo(np.result_type(x.dtype, np.float32)).eps
    return np.where(sd > rounding * largest, sd, 1.0)


def float_dtype(*dtypes) -> np.dtype:
    """The widest of some types as a float of JAX; whole numbers become its default float."""
    default = np.dtype(jnp.result_type(float))
    floats = [d for d in map(np.dtype, dtypes) if np.issubdtype(d, np.floating)]
    widest = reduce(np.promote_types, floats, np.dtype("float32")) if floats else default
    return min(widest, default, key=lambda d: d.itemsize)
