"""Print or record entries of the carry inside a compiled loop, every k steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim import check
from sim.step import Carry, Stepper, as_pytree


class Watched(NamedTuple):
    """The carry of a watched stepper: steps done, and the carry that is watched."""

    k: Any
    carry: Carry


def watch(
    stepper: Stepper,
    every: int,
    select: Callable[[Carry], Any] = lambda carry: carry,
    sink: Callable[[Any, Any], None] | None = None,
) -> Stepper:
    """The same stepper, which also reports its carry at the end of every k-th step.

    Args:
        stepper: what to watch; it runs as before, to the bit.
        every: k, at least 1.
        select: ``select(carry)``, the pytree to report, computed inside the loop.
        sink: ``sink(steps, selected)``, called on the host with NumPy arrays, in the
            order of the steps; None prints a line instead.

    Returns:
        A stepper whose carry is `Watched`; its ys are those of the stepper.

    Each call leaves the compiled loop, which then runs step by step: use it to find a
    fault, not for long runs. A stepper that is not wrapped is unchanged. Under `vmap` the
    lines of all members come in any order; a gradient runs the steps, and reports, again.

    Reference: `jax.debug.callback`.

    >>> from sim import rollout
    >>> halving = Stepper(lambda c: jnp.asarray(c), lambda c, x: (c / 2, c))
    >>> seen = []
    >>> watched = watch(halving, 2, sink=lambda k, c: seen.append((int(k), float(c))))
    >>> _ = jax.block_until_ready(rollout(watched.step, watched.init(8.0), length=5))
    >>> jax.effects_barrier()
    >>> seen
    [(2, 2.0), (4, 0.5)]
    """
    if not isinstance(stepper, Stepper):
        raise ValueError(f"stepper: expected a Stepper, got {type(stepper).__name__}")
    body = _Watch(check.positive("every", every), select, sink)
    return Stepper(Partial(_init, as_pytree(stepper.init)), Partial(body, as_pytree(stepper.step)))


def _init(init, *args, **kwargs):
    return Watched(jnp.asarray(0, jnp.result_type(int)), init(*args, **kwargs))


class _Watch(NamedTuple):
    every: int
    select: Callable
    sink: Callable | None

    def __call__(self, step, watched, x):
        carry, y = step(watched.carry, x)
        k = watched.k + 1
        jax.lax.cond(k % self.every == 0, self.tell, lambda k, carry: None, k, carry)
        return Watched(k, carry), y

    def tell(self, k, carry):
        jax.debug.callback(self.receive, k, self.select(carry))

    def receive(self, k, selected):
        # Where `vmap` batches k, both branches run at every step.
        if k % self.every == 0:
            (self.sink or _print)(k, selected)


def _print(k, selected):
    print(f"step {k}: {selected}")
