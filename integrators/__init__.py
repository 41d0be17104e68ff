"""ODE integrators as steps: ``rk4(f, dt)`` is a stepper that `sim.rollout` drives.

Symbols: ``t`` time, ``y`` state, ``u`` input, ``dt`` step length, ``f(t, y, u)`` the
vector field.
"""

from integrators.base import Clocked, OneStep, VectorField
from integrators.runge_kutta import (
    ButcherTableau,
    bogacki_shampine3,
    dormand_prince5,
    euler,
    explicit_rk,
    heun,
    midpoint,
    ralston,
    rk4,
    ssp_rk3,
    tsitouras5,
)
from integrators.symplectic import semi_implicit_euler, velocity_verlet

__all__ = [
    "ButcherTableau",
    "Clocked",
    "OneStep",
    "VectorField",
    "bogacki_shampine3",
    "dormand_prince5",
    "euler",
    "explicit_rk",
    "heun",
    "midpoint",
    "ralston",
    "rk4",
    "semi_implicit_euler",
    "ssp_rk3",
    "tsitouras5",
    "velocity_verlet",
]
