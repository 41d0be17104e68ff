"""Discrete state-space systems with several inputs and outputs: `ssfilt`, and as a step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from filters.iir.arrays import common_dtype, numbers, signal
from filters.iir.recursion import run, states_by_prefix
from sim import Stepper
from sim.linalg import matmul

FORMS = ("scan", "associative")


def ssfilt(system, u, axis: int = -1, x0=None, *, form: str | None = None):
    """Filter by a system with a state, several inputs and several outputs.

        xₖ₊₁ = A xₖ + B uₖ,   yₖ = C xₖ + D uₖ

    Args:
        system: (A, B, C, D), of shapes (n, n), (n, p), (q, n) and (q, p), real or complex.
        u: the inputs. The last axis other than time has the p inputs: (…, p, T), or
            with axis 0 (T, …, p), or with axis −2 (…, T, p); the others are a batch.
        axis: the axis of u along which time runs.
        x0: the state before the first sample, (…, n) with the batch of u; None is 0.
        form: "scan", a step for every sample, or "associative", by
            `lax.associative_scan`; None chooses by the device.

    Returns:
        y, as u with q outputs in the place of the inputs; with ``x0`` also the state
        after the last sample, as x0.

    Raises:
        ValueError: the shapes do not fit, or there is no such axis or form.

    Reference: `scipy.signal.dlsim` of a `scipy.signal.dlti`, which has time first.

    >>> delay_and_sum = [[0.0]], [[1.0, 0.0]], [[1.0]], [[0.0, 1.0]]
    >>> ssfilt(delay_and_sum, jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 10.0]])).tolist()
    [[0.0, 1.0, 12.0]]
    """
    system = matrices(system)
    u, axis = signal(u, axis)
    n, p = system[1].shape
    channels = (*u.shape[:axis], *u.shape[axis + 1 :])
    if not channels or channels[-1] != p:
        raise ValueError(f"u: expected {p} inputs along the last axis but time, got {u.shape}")
    form = form or ("scan" if jax.default_backend() == "cpu" else "associative")
    if form not in FORMS:
        raise ValueError(f"form: expected one of {FORMS} or None, got {form!r}")
    dtype = common_dtype(*system, u) if x0 is None else common_dtype(*system, u, x0)
    system, u = tuple(m.astype(dtype) for m in system), u.astype(dtype)
    if x0 is None:
        return _apply_system(system, u, jnp.zeros((*channels[:-1], n), dtype), axis, form)[0]
    x0 = jnp.asarray(x0).astype(dtype)
    if x0.shape != (*channels[:-1], n):
        raise ValueError(f"x0: expected shape {(*channels[:-1], n)}, got {x0.shape}")
    return _apply_system(system, u, x0, axis, form)


def matrices(system):
    """(A, B, C, D) as arrays.

    Raises:
        ValueError: their shapes do not fit, or there are not four.
    """
    if len(system) != 4:
        raise ValueError(f"system: expected (A, B, C, D), got {len(system)} entries")
    A, B, C, D = (numbers(m) for m in system)
    for name, m in (("A", A), ("B", B), ("C", C), ("D", D)):
        if m.ndim != 2:
            raise ValueError(f"{name}: expected a matrix, got shape {m.shape}")
    n, p, q = len(A), B.shape[1], len(C)
    for name, m, shape in (("A", A, (n, n)), ("B", B, (n, p)), ("C", C, (q, n)), ("D", D, (q, p))):
        if m.shape != shape:
            raise ValueError(
                f"{name}: expected shape {shape} for {n} states, {p} inputs and {q} outputs, "
                f"got {m.shape}"
            )
    return A, B, C, D


@partial(jax.jit, static_argnames=("axis", "form"))
def _apply_system(system, u, x0, axis, form):
    A, B, C, D = system
    U = jnp.moveaxis(u, axis, 0)  # (T, …, p)
    batch = U.shape[1:-1]
    if form == "scan":
        channels = (np.prod(batch, dtype=int),) if batch else ()  # alone they are vectors
        U = jnp.moveaxis(U, -1, 1).reshape(len(U), B.shape[1], *channels)
        x0 = jnp.moveaxis(x0, -1, 0).reshape(len(A), *channels)
        y, x = run(system_step, system, x0, U, form, last=False)
        y = jnp.moveaxis(y.reshape(len(y), len(C), *batch), 1, -1)
        x = jnp.moveaxis(x.reshape(len(A), *batch), 0, -1)
    else:
        states = states_by_prefix(A, x0.reshape(-1, len(A)), (U @ B.T).reshape(len(U), -1, len(A)))
        states = states.reshape(len(U) + 1, *x0.shape)
        y, x = states[:-1] @ C.T + U @ D.T, states[-1]
    return jnp.moveaxis(y, 0, axis), x


def system_step(system, x, u):
    """One sample: x (n,), u and y (p,), (q,); or each with one more axis, of channels."""
    A, B, C, D = system
    return matmul(A, x) + matmul(B, u), matmul(C, x) + matmul(D, u)


def ss_stepper(system) -> Stepper:
    """The system as a step: p inputs in, q outputs out.

    Args:
        system: (A, B, C, D), as in `ssfilt`.

    Returns:
        A stepper: ``init(x0=None)`` with x0 (n,), its state. By `rollout` it gives what
        `ssfilt(..., axis=0, form="scan")` gives, to rounding; it may also stand in a
        cascade, or be called live.

    Raises:
        ValueError: as `ssfilt`.

    Reference: as `ssfilt`.

    >>> from sim import rollout
    >>> total = ss_stepper(([[1.0]], [[1.0]], [[1.0]], [[1.0]]))
    >>> rollout(total.step, total.init(), jnp.array([[1.0], [2.0], [3.0]]))[1].tolist()
    [[1.0], [3.0], [6.0]]
    """
    system = matrices(system)
    dtype = common_dtype(*system)
    system = tuple(jnp.asarray(m, dtype) for m in system)
    return Stepper(Partial(_init, jnp.zeros(len(system[0]), dtype)), Partial(system_step, system))


def _init(rest, x0=None):
    x0 = rest if x0 is None else jnp.asarray(x0).astype(rest.dtype)
    if x0.shape != rest.shape:
        raise ValueError(f"x0: expected shape {rest.shape}, got {x0.shape}")
    return x0
