"""What drives a model: a recorded signal, a generated one, or nothing."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments import record as recorded
from experiments.build import build, convert, nearest
from experiments.config import Config, steps
from experiments.record import Record
from experiments.target import resolve

HOLDS = ("zero_order", "first_order", "cubic", "band_limited")


def record(config: Config) -> Record | None:
    """The record that is the input, or None; read without JAX."""
    settings = _settings(config)
    if config.input.get("hold", HOLDS[0]) not in HOLDS:
        hold = convert("input.hold", str, config.input["hold"])
        raise ValueError(f"input.hold: expected one of {', '.join(HOLDS)}, got {hold!r}; "
                         f"{nearest(hold, HOLDS)}")
    target = config.input["_target_"]
    if target is None or not target.startswith("experiments."):
        return None
    return build(resolve("input._target_", target), settings, "input")


def clock(config: Config, record: Record | None) -> tuple[float, float, int]:
    """t0, dt, and the number of steps."""
    if record is None:
        return config.t0 or 0.0, config.dt, steps(config.duration, config.dt)
    dt = recorded.interval(record, config.dt)
    if dt < 0:
        raise ValueError(f"dt: expected a positive number of s for a recorded input, got {dt:g}")
    first = 0.0 if record.time is None else float(record.time[0])
    t0 = first if config.t0 is None else config.t0
    have = len(record.u) - 1
    wanted = have if config.duration is None else steps(config.duration, dt)
    if wanted > have:
        raise ValueError(f"duration: expected at most {have * dt:g}, the length of {record.path} "
                         f"in s, got {config.duration:g}")
    return t0, dt, wanted


def samples(config: Config, model: Any, record: Record | None, t0: float, dt: float, length: int):
    """The input at t0 + k·dt, k = 0, …, length: (length + 1,), (length + 1, inputs) or None."""
    target = config.input["_target_"]
    if target is None:
        return None
    if not model.inputs:
        raise ValueError(f"input: expected none, because {model.name} takes no input, got {target}")
    if record is not None:
        name, u = "input.columns", record.u[: length + 1]
    else:
        name, u = "input", _generated(config, target, t0, dt, length)
    count = len(model.inputs)
    if u.shape != (length + 1, count):
        raise ValueError(f"{name}: expected {count} for {model.name} ({', '.join(model.inputs)}), "
                         f"got {u.shape[-1]}")
    if not np.isfinite(u).all():
        raise ValueError(f"input: expected finite samples, got {u[~np.isfinite(u)][0]}")
    return u[:, 0] if count == 1 else u


def pieces(config: Config, u: np.ndarray | None, dt: float) -> Any:
    """The input of every step, held between the samples as ``input.hold`` says."""
    if u is None:
        return None
    from jax.numpy import result_type

    from sim import inputs

    holds = (inputs.zero_order_hold, inputs.first_order_hold, inputs.cubic, inputs.band_limited)
    hold = holds[HOLDS.index(config.input.get("hold", HOLDS[0]))]
    axis = abs(dt) * np.arange(len(u))  # in the order of the run, backwards in time or not
    try:
        return hold(axis, u.astype(result_type(float)))
    except ValueError as error:
        raise ValueError(f"input.hold: {error}") from error


def at_rest(model: Any) -> Any:
    """The model at zero input."""
    from jax.tree_util import Partial

    count = len(model.inputs)
    zero = np.zeros(count if count > 1 else ())
    output = model.output and Partial(_at_zero, model.output, zero)
    return model._replace(field=Partial(_at_zero, model.field, zero), inputs=(), output=output)


def _at_zero(function, zero, t, y, u):
    import jax
    import jax.numpy as jnp

    return function(t, y, jnp.asarray(zero, jnp.result_type(*jax.tree.leaves(y))))


def _settings(config) -> Mapping[str, Any]:
    return {key: value for key, value in config.input.items() if key != "hold"}


def _generated(config, target, t0, dt, length):
    source = resolve("input._target_", target, config.allow)
    order = slice(None, None, 1 if dt > 0 else -1)  # a generator wants increasing times
    t = (t0 + dt * np.arange(length + 1))[order]
    asked = inspect.signature(source).parameters
    given = {"t": t} | {k: v for k, v in (("seed", config.seed),) if k in asked}
    u = np.asarray(build(source, _settings(config), "input", given))[order]
    return u[:, None] if u.ndim == 1 else u
