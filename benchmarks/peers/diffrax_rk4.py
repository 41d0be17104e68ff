"""The classic Runge-Kutta method in diffrax: its own solver class with our tableau."""

from typing import ClassVar

import diffrax
import jax.numpy as jnp
import numpy as np


def _linear(*, t0, t1, y0, y1, k):
    return diffrax.LocalLinearInterpolation(t0=t0, t1=t1, y0=y0, y1=y1)


class RK4(diffrax.AbstractERK):
    """RK4, which diffrax lacks as it has no error estimate; constant steps need none."""

    tableau: ClassVar = diffrax.ButcherTableau(
        a_lower=(np.array([0.5]), np.array([0.0, 0.5]), np.array([0.0, 0.0, 1.0])),
        b_sol=np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6]),
        b_error=np.zeros(4),
        c=np.array([0.5, 0.5, 1.0]),
    )
    interpolation_cls: ClassVar = staticmethod(_linear)

    def order(self, terms):
        return 4


def solve(field, y0, dt, steps, final=False, halves=None):
    """All states after the initial one, (steps, ...) a leaf; or the last, (...).

    ``field(t, y, u)`` as this project's models have it, with the input at every half step,
    (2 steps + 1,), or none. dt is a power of two, so that diffrax, which adds its steps up,
    arrives at the last one exactly.
    """

    def term(t, y, halves):
        u = None if halves is None else halves[jnp.round(2 * t / dt).astype(int)]
        return field(t, y, u)

    ys = diffrax.diffeqsolve(
        diffrax.ODETerm(term),
        RK4(),
        t0=0.0,
        t1=steps * dt,
        dt0=dt,
        y0=y0,
        args=halves,
        saveat=diffrax.SaveAt(t1=True) if final else diffrax.SaveAt(steps=True),
        stepsize_controller=diffrax.ConstantStepSize(),
        max_steps=steps,
    ).ys
    return type(y0)(*(leaf[0] for leaf in ys)) if final else ys
