"""Integrating ODEs with the classic Runge-Kutta method in constant steps, float64.

Steps are powers of two where diffrax takes part: it sums its steps, and so ends exactly.
All sides integrate the same vector field; the JAX ones share the function.
"""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from benchmarks import child
from benchmarks.measure import Work, close, compile_run
from integrators import rk4
from sim import rollout
from sim.models import chain, lorenz


def _floats(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), tree)


def _all_states(field, y0, dt, steps):
    """Every state after the initial one."""
    stepper = rk4(field, dt)
    return rollout(stepper.step, stepper.init(y0), length=steps)[1]


def _without_ys(stepper):
    return lambda carry, x: (stepper.step(carry, x)[0], None)


def _final(field, y0, dt, steps, **options):
    """The last state alone; options of `rollout`."""
    stepper = rk4(field, dt)
    return rollout(_without_ys(stepper), stepper.init(y0), length=steps, **options)[0].y


def _diffrax(field, y0, dt, steps, final=False):
    from benchmarks.peers.diffrax_rk4 import solve

    return compile_run(partial(solve, dt=dt, steps=steps, final=final), field, y0)


def _lorenz():
    model = lorenz.model()
    return _floats(model.field), _floats(model.initial)


def lorenz_rk4(steps=10**6, dt=2.0**-17):
    """One trajectory, every step saved."""
    field, y0 = _lorenz()

    def numba():
        from benchmarks.peers import numba_rk4

        args = tuple(lorenz.Params()), tuple(lorenz.model().initial)
        numba_rk4.lorenz(*args, dt, 1)
        return lambda: lorenz.State(*numba_rk4.lorenz(*args, dt, steps).T)

    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=lambda: compile_run(partial(_all_states, dt=dt, steps=steps), field, y0),
        peers={"numba": numba, "diffrax": partial(_diffrax, field, y0, dt, steps)},
        compare=close(1e-6),
    )


def _mean_square(y):
    return sum(jnp.mean(leaf**2) for leaf in y)


def _value_and_grad(solve, y0, value_only=False):
    """(value, gradient) of the mean square of solve(field, y0) in the three parameters."""

    def loss(params):
        return _mean_square(solve(Partial(lorenz.lorenz, params), y0))

    f = (lambda params: (loss(params),)) if value_only else jax.value_and_grad(loss)
    return compile_run(f, _floats(lorenz.Params()))


def _plain_scan(field, y0, dt, steps, final=False):
    """Our step under a bare `lax.scan`, which stores what the gradient needs."""
    stepper = rk4(field, dt)
    step = _without_ys(stepper) if final else stepper.step
    carry, ys = jax.lax.scan(step, stepper.init(y0), None, steps)
    return carry.y if final else ys


def lorenz_rk4_grad(steps=10**4, dt=2.0**-10):
    """Value and gradient of the mean square of all saved states, in the parameters."""
    _, y0 = _lorenz()
    size = {"dt": dt, "steps": steps}

    def diffrax():
        from benchmarks.peers.diffrax_rk4 import solve

        return _value_and_grad(partial(solve, **size), y0)

    def compare(ours, peer):  # `forward` has a value and no gradient
        return close(1e-6)(ours if len(peer) == len(ours) else ours[:1], peer)

    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=lambda: _value_and_grad(partial(_all_states, **size), y0),
        peers={
            "forward": lambda: _value_and_grad(partial(_all_states, **size), y0, value_only=True),
            "plain": lambda: _value_and_grad(partial(_plain_scan, **size), y0),
            "diffrax": diffrax,
        },
        compare=compare,
    )


def _final_grad(side, steps, every, dt):
    """The run of one side of `checkpointed_grad`."""
    size = {"dt": dt, "steps": steps}
    solve = (
        partial(_final, checkpoint_every=every, **size)
        if side == "ours"
        else partial(_plain_scan, final=True, **size)
    )
    return _value_and_grad(solve, _lorenz()[1])


def _grad_peak_mb(side, steps, every, dt):
    """Peak MB above the process after it compiled and ran a small case."""
    _final_grad(side, 2 * every, every, dt)()
    idle = child.memory_mb(peak=False)
    _final_grad(side, steps, every, dt)()
    return child.memory_mb(peak=True) - idle


def checkpointed_grad(steps=10**6, every=1000, dt=1e-5):
    """Value and gradient of the mean square of the last state, in bounded memory."""
    size = steps, every, dt

    def peaks():
        target = f"{__name__}:{_grad_peak_mb.__name__}"
        return {side: round(child.call(target, side, *size), 1) for side in ("ours", "plain")}

    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=partial(_final_grad, "ours", *size),
        peers={"plain": partial(_final_grad, "plain", *size)},
        compare=close(1e-8),
        extra=lambda: {"peak_mb": peaks()},
    )


def ensemble(members=1024, steps=1000, dt=2.0**-10, final=False):
    """Many trajectories at once, time first; the state's leaves hold all members."""
    field, _ = _lorenz()
    y0 = lorenz.State(*(jnp.linspace(1.0, 2.0, members),) * 3)
    size = {"dt": dt, "steps": steps}

    def diffrax():
        from benchmarks.peers.diffrax_rk4 import solve

        one = partial(solve, final=final, **size)
        return compile_run(jax.vmap(one, in_axes=(None, 0), out_axes=0 if final else 1), field, y0)

    def numba():
        from benchmarks.peers import numba_rk4

        args = tuple(lorenz.Params()), np.stack(y0), dt, steps, 1 if final else steps

        def seconds(loop):
            tic = time.perf_counter()
            loop(*args)
            return time.perf_counter() - tic

        loops = [numba_rk4.lorenz_by_member, numba_rk4.lorenz_by_step]
        for loop in loops:
            loop(*args)
        fastest = min(loops, key=lambda loop: min(seconds(loop) for _ in range(3)))
        return lambda: lorenz.State(*(fastest(*args)[:, -1] if final else fastest(*args)))

    return Work(
        unit="ns/step/member",
        scale=1e9 / steps / members,
        ours=lambda: compile_run(partial(_final if final else _all_states, **size), field, y0),
        peers={"diffrax": diffrax, "numba": numba},
        compare=close(1e-9),
    )


def chain_rk4(n, steps=2 * 10**4, dt=2.0**-7):
    """A chain of n masses between walls, every step saved."""
    model = chain.model(n=n)
    field, y0 = _floats(model.field), _floats(model.initial)

    def numba():
        from benchmarks.peers import numba_rk4

        args = tuple(chain.Params()[:3]), *map(np.asarray, y0), dt
        numba_rk4.chain(*args, 1)
        return lambda: chain.State(*numba_rk4.chain(*args, steps))

    return Work(
        unit="ns/step",
        scale=1e9 / steps,
        ours=lambda: compile_run(partial(_all_states, dt=dt, steps=steps), field, y0),
        peers={"numba": numba, "diffrax": partial(_diffrax, field, y0, dt, steps)},
        compare=close(1e-9),
    )


ROWS = {
    "ode.lorenz_rk4": lorenz_rk4,
    "ode.lorenz_rk4_grad": lorenz_rk4_grad,
    "ode.checkpointed_grad": checkpointed_grad,
    "ode.ensemble_1024": ensemble,
    "ode.ensemble_1024_final": partial(ensemble, final=True),
    "ode.chain_n4": partial(chain_rk4, 4),
    "ode.chain_n16": partial(chain_rk4, 16),
    "ode.chain_n64": partial(chain_rk4, 64),
}
