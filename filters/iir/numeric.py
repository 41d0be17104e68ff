"""Arithmetic for filter coefficients: NumPy for numbers, jax.numpy for traced values.

A design happens once. From plain numbers NumPy does it in float64, without compiling
anything; under `jit`, `grad` or `vmap` the same formulas run in jax.numpy, in the dtype
of what is traced.
"""

from numbers import Number
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sim import rollout


class Arithmetic(NamedTuple):
    """An array namespace with the real and the complex dtype to use in it."""

    xp: ModuleType
    real_dtype: Any
    complex_dtype: Any

    def real(self, x):
        return self.xp.asarray(x, self.real_dtype)

    def complex(self, x):
        return self.xp.asarray(x, self.complex_dtype)

    def inexact(self, x):
        """x in the complex dtype if it is complex, else in the real one."""
        x = self.xp.asarray(x)
        return self.complex(x) if self.xp.iscomplexobj(x) else self.real(x)

    def rect(self, re, im):
        """re + i·im, the two of one shape."""
        return re + 1j * im if self.xp is np else jax.lax.complex(re, im)

    def times(self, x, z):
        """x·z for a real x: unlike (x + 0i)·z it keeps the sign of a zero imaginary part."""
        plain = self.xp is np or not self.xp.iscomplexobj(z)
        return x * z if plain else jax.lax.complex(x * z.real, x * z.imag)


def is_traced(*values):
    """Whether any leaf of the values is a tracer."""
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(values))


def arithmetic(*values):
    """jax.numpy in the widest dtype of the JAX arrays among the values; else NumPy in float64."""
    dtypes = [x.dtype for x in jax.tree.leaves(values) if isinstance(x, jax.Array)]
    if not dtypes:
        return Arithmetic(np, np.dtype(np.float64), np.dtype(np.complex128))
    known = [d for d in dtypes if jnp.issubdtype(d, jnp.inexact)] or [jnp.result_type(float)]
    if any(d in (np.float64, np.complex128) for d in known):
        return Arithmetic(jnp, np.dtype(np.float64), np.dtype(np.complex128))
    return Arithmetic(jnp, np.dtype(np.float32), np.dtype(np.complex64))


def loop(xp, step, carry, xs=None, *, length=None):
    """`rollout`, or a Python loop for NumPy: (last carry, stacked outputs)."""
    if xp is jnp:
        return rollout(step, carry, xs, length=length)
    rows = []
    for x in [None] * length if xs is None else xs:
        carry, row = step(carry, x)
        rows.append(row)
    return carry, jax.tree.map(lambda *r: np.stack(r), *rows)


def evaluate(design, *values):
    """design(*values), computed by NumPy in float64 unless a value is traced.

    Returns:
        NumPy arrays, or, where a value is a JAX array, JAX arrays of its precision.
    """
    if is_traced(values):
        return design(*values)
    ar = arithmetic(values)
    result = design(*jax.tree.map(np.asarray, values))
    if ar.xp is np:
        return result
    return jax.tree.map(lambda x: ar.complex(x) if np.iscomplexobj(x) else ar.real(x), result)


def sampling_frequency(fs, allow_none=True):
    """fs; ValueError unless it is one positive number."""
    if fs is None:
        if allow_none:
            return None
        raise ValueError("fs: expected a number, Sampling frequency can not be none, got None")
    if np.shape(fs) != () or isinstance(fs, str):
        raise ValueError(f"fs: Sampling frequency fs must be a single scalar, got {fs!r}")
    if not is_traced(fs) and not np.asarray(fs) > 0:
        raise ValueError(f"fs: expected a sampling frequency above 0, got {fs}")
    return fs


class ArgumentError(ValueError):
    """A wrong argument, by name, for callers that have another name for it."""

    def __init__(self, name: str, reason: str):
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


def order(N):
    """N as an int; ValueError unless it is a static integer of at least 0."""
    if is_traced(N):
        raise ArgumentError("N", "expected a static filter order, got a traced value")
    if not isinstance(N, Number | np.ndarray | jax.Array) or np.shape(N) or abs(int(N)) != N:
        raise ArgumentError("N", f"Filter order must be a nonnegative integer, got {N!r}")
    return int(N)


def decibels(name, value, meaning):
    """A ripple or an attenuation; ValueError unless it is one number above 0."""
    if value is None:
        raise ValueError(f"{name}: expected the {meaning} in dB, got None")
    if np.shape(value) != ():
        raise ValueError(f"{name}: expected one number, got shape {np.shape(value)}")
    if not is_traced(value) and not np.asarray(value) > 0:
        raise ValueError(f"{name}: {meaning} must be positive, got {value}")
    return value
