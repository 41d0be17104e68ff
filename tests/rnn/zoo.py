"""The cells of the package, found by walking it: a new cell is tested without being named.

A cell is a module NAME with ``params(key, inputs, hidden, *, dtype)`` and ``NAME(params)``.
"""

import importlib
import inspect
import pkgutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import sim.rnn
from sim import rollout

INPUTS, HIDDEN, STEPS = 3, 4, 6


class Cell(NamedTuple):
    params: object
    stepper: object


def cells():
    """Every cell of the package by name."""
    found = {}
    for info in pkgutil.iter_modules(sim.rnn.__path__):
        module = importlib.import_module(f"sim.rnn.{info.name}")
        make, params = getattr(module, info.name, None), getattr(module, "params", None)
        if make and params and list(inspect.signature(params).parameters)[1:3] == [
            "inputs",
            "hidden",
        ]:
            found[info.name] = Cell(params, make)
    return dict(sorted(found.items()))


CELLS = cells()


def perturbed(params, seed=1):
    """Parameters of which none is at a special value, such as a bias of zero."""
    leaves, treedef = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    return jax.tree.unflatten(
        treedef,
        [a + 0.1 * jax.random.normal(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)],
    )


def weights(cell, inputs=INPUTS, hidden=HIDDEN, seed=0, dtype=None):
    return perturbed(cell.params(jax.random.key(seed), inputs, hidden, dtype=dtype), seed + 1)


def signal(*shape, seed=0, dtype=None):
    return jax.random.normal(jax.random.key(100 + seed), shape, dtype or jnp.result_type(float))


def drive(stepper, xs, carry=None):
    """A rollout from rest, for the batch axes of xs."""
    if carry is None:
        carry = sim.rnn.initialize_carry(stepper, xs.shape[1:-1])
    return rollout(stepper.step, carry, xs)


run = jax.jit(drive)
