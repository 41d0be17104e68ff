"""Compile time of a rollout against that of an unrolled loop, which grows with its length."""

import time
from functools import partial

import jax
import jax.numpy as jnp

from benchmarks import child
from benchmarks.measure import Timed, Work, close
from integrators import rk4
from sim import rollout
from sim.models import lorenz

ALONE = 100  # steps; above it the unrolled loop compiles in a process of its own
LIMIT = 120.0  # s that this process may take


def run_scan(stepper, y0, steps):
    last, _ = rollout(lambda c, x: (stepper.step(c, x)[0], None), stepper.init(y0), length=steps)
    return last.y


def _run_unrolled(stepper, y0, steps):
    carry = stepper.init(y0)
    for _ in range(steps):
        carry, _ = stepper.step(carry, None)
    return carry.y


def compile_loop(loop, steps):
    """Trace, lower and compile with empty caches; the run of the program is not timed."""
    model = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), lorenz.model()[1:3])
    jax.clear_caches()
    tic = time.perf_counter()
    program = jax.jit(lambda f, y0: loop(rk4(f, 2.0**-10), y0, steps)).lower(*model).compile()
    seconds = time.perf_counter() - tic
    return Timed(seconds, list(map(float, program(*model))))


def compile_unrolled(steps):
    return compile_loop(_run_unrolled, steps)


def compile_time(steps):
    """Seconds from a Python function to a program: Lorenz, RK4, the last state."""

    def ours():
        compile_loop(run_scan, steps)
        return partial(compile_loop, run_scan, steps)

    def unrolled_side():
        if steps <= ALONE:
            return partial(compile_unrolled, steps)
        target = f"{__name__}:{compile_unrolled.__name__}"
        return lambda: Timed(*child.call(target, steps, timeout=LIMIT))

    return Work(
        unit="s",
        scale=1.0,
        ours=ours,
        peers={"unrolled": unrolled_side},
        compare=close(1e-9),
    )


ROWS = {f"scan.compile_{steps}": partial(compile_time, steps) for steps in (10, 100, 1000)}
