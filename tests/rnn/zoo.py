"""The cells of the package, found by walking it: a new cell is tested without being named.

A cell is a module NAME with ``params(key, inputs, hidden, *, dtype)`` and ``NAME(params)``.
"""

import importlib
import inspect
import pkgutil
from functools import cache
from typing import NamedTuple

import jax
import numpy as np

import sim.rnn
from sim import rollout
from tests.filters.derivatives import quick

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
        if (
            make
            and params
            and list(inspect.signature(params).parameters)[1:3]
            == [
                "inputs",
                "hidden",
            ]
        ):
            found[info.name] = Cell(params, make)
    return dict(sorted(found.items()))


CELLS = cells()


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def perturbed(tree, seed=1):
    """Arrays of which none is at a special value, such as a bias of zero."""
    noise = iter(range(100 * seed, 100 * seed + 100))
    return jax.tree.map(lambda a: np.asarray(a) + 0.1 * normal(next(noise), *np.shape(a)), tree)


@cache
def weights(cell, inputs=INPUTS, hidden=HIDDEN, seed=0):
    """Parameters of a cell, in float64, as NumPy arrays."""
    make = quick(cell.params, static_argnums=(1, 2))
    return perturbed(make(jax.random.key(seed), inputs, hidden), seed + 1)


def signal(*shape, seed=0):
    return normal(10_000 + seed, *shape)


def drive(make, params, xs, carry=None):
    """A rollout of ``make(params)``, from rest for the batch axes of xs."""
    stepper = make(params)
    if carry is None:
        carry = sim.rnn.initialize_carry(stepper, xs.shape[1:-1])
    return rollout(stepper.step, carry, xs)


run = quick(drive, static_argnums=0)
rest = quick(lambda make, params: make(params).init(), static_argnums=0)
