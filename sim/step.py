"""The one abstraction of the project: a step, and a step that knows its initial carry.

Everything that evolves in time is a **step**

    (carryₖ, xₖ) ↦ (carryₖ₊₁, yₖ)

where the *carry* is all that the future needs to know of the past, *x* is what
enters from outside during step k, and *y* is what leaves at its **end**. An ODE
integrator, a Kalman filter, an IIR filter, a recurrent network and an optimiser
loop are all steps, and `sim.rollout` drives every one of them.

Three rules make steps compose:

1. *Alignment.* ``ys[k]`` belongs to the end of step k, always.
2. *What varies in time enters through* ``xs``: inputs, noise, masks, matrices.
   A step never indexes a closure by k.
3. *A smoother is a step whose* ``xs`` *are the filter's* ``ys``, run in reverse.

Parameters travel as pytrees: bind them with `jax.tree_util.Partial`, and the step
itself is a pytree that `jit` traces once for all parameter values, that `grad`
differentiates, and that `vmap` batches.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax.tree_util import Partial, all_leaves

Carry = Any
X = Any
Y = Any
Step = Callable[[Carry, X], tuple[Carry, Y]]


class Stepper(NamedTuple):
    """A step together with the function that makes its first carry.

    Attributes:
        init: ``init(...) -> carry``; the arguments are the stepper's own (an
            integrator takes the initial state and time, a filter the prior).
        step: ``step(carry, x) -> (carry, y)``.

    A stepper is a pytree when both fields are (`jax.tree_util.Partial`), so a batch
    of steppers is one stepper with batched leaves.

    >>> import jax.numpy as jnp
    >>> from sim import Stepper, rollout
    >>> counter = Stepper(init=lambda start: jnp.asarray(start),
    ...                   step=lambda count, x: (count + 1, count + 1))
    >>> count, ys = rollout(counter.step, counter.init(5), length=3)
    >>> ys.tolist()
    [6, 7, 8]
    """

    init: Callable[..., Carry]
    step: Step


def as_pytree(function: Callable) -> Callable:
    """A plain function as a pytree without leaves; one that is a pytree stays itself."""
    return Partial(function) if all_leaves([function]) else function
