"""Explicit Runge-Kutta methods: a method is its tableau and its order.

    kᵢ = f(t + cᵢ dt, y + dt Σⱼ aᵢⱼ kⱼ, u(cᵢ)),   y(t + dt) = y + dt Σᵢ bᵢ kᵢ

A new one is a `ButcherTableau` and one call of `explicit_rk`. Embedded error
weights and a last stage that only they use (b = 0) are left out: steps are constant.

Reference: E. Hairer, S. P. Norsett and G. Wanner, "Solving Ordinary Differential
Equations I", 2nd ed., Springer 1993, chapter II.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from integrators.base import OneStep, add


class ButcherTableau(NamedTuple):
    """The coefficients of an explicit method of s stages.

    Attributes:
        a: s − 1 rows, row i with the i + 1 weights of the stages before stage i + 1.
        b: the s weights of the step.
        c: the s nodes, the stages' times as fractions of the step.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]


def explicit_rk(tableau: ButcherTableau, order: int) -> OneStep:
    """The integrator of an explicit tableau: ``explicit_rk(tableau, order)(f, dt)``.

    Args:
        tableau: rows of a, weights b (their sum is 1) and nodes c (each the sum of its
            row of a).
        order: the order of the method.

    Raises:
        ValueError: the tableau's sizes disagree, or it is not consistent.

    >>> from sim import rollout
    >>> ralston3 = explicit_rk(ButcherTableau(
    ...     a=((1/2,), (0, 3/4)), b=(2/9, 1/3, 4/9), c=(0, 1/2, 3/4)), order=3)
    >>> clock = ralston3(lambda t, y, u: 3 * t**2, 0.5)
    >>> rollout(clock.step, clock.init(0.0), length=2)[1].round(12).tolist()
    [0.125, 1.0]
    """
    a, b, c = tableau
    stages = len(b)
    if len(c) != stages or len(a) != stages - 1 or any(len(r) != i + 1 for i, r in enumerate(a)):
        raise ValueError(
            f"tableau: expected {stages} nodes c and rows of a of length 1 to {stages - 1}, "
            f"as there are {stages} weights b; got {len(c)} nodes and rows of "
            f"{[len(row) for row in a]}"
        )
    for what, expected, weights in [
        ("b", 1.0, b),
        *((f"a[{i}]", c[i + 1], a[i]) for i in range(stages - 1)),
    ]:
        if abs(float(sum(weights)) - float(expected)) > 1e-12:
            raise ValueError(
                f"tableau: expected {what} to sum to {float(expected)}, got {float(sum(weights))}"
            )
    floats = ButcherTableau(
        tuple(tuple(map(float, row)) for row in a), tuple(map(float, b)), tuple(map(float, c))
    )
    return OneStep(_Advance(floats), order)


@dataclass(frozen=True)
class _Advance:
    """`advance` of one tableau; equal tableaus are equal, so that jit traces once."""

    tableau: ButcherTableau

    def __call__(self, f, t, y, u, dt):
        a, b, c = self.tableau
        ks = [f(t, y, u(c[0]))]
        for row, node in zip(a, c[1:], strict=True):
            stage = add(y, dt, zip(row, ks, strict=True))
            ks.append(f(t + node * dt, stage, u(node)))
        return add(y, dt, zip(b, ks, strict=True))


F = Fraction

euler = explicit_rk(ButcherTableau(a=(), b=(1,), c=(0,)), order=1)

midpoint = explicit_rk(ButcherTableau(a=((F(1, 2),),), b=(0, 1), c=(0, F(1, 2))), order=2)

heun = explicit_rk(ButcherTableau(a=((1,),), b=(F(1, 2), F(1, 2)), c=(0, 1)), order=2)

# Two stages with the smallest bound on the truncation error (Ralston 1962).
ralston = explicit_rk(
    ButcherTableau(a=((F(2, 3),),), b=(F(1, 4), F(3, 4)), c=(0, F(2, 3))), order=2
)

# Strong stability preserving (Shu and Osher 1988).
ssp_rk3 = explicit_rk(
    ButcherTableau(
        a=((1,), (F(1, 4), F(1, 4))),
        b=(F(1, 6), F(1, 6), F(2, 3)),
        c=(0, 1, F(1, 2)),
    ),
    order=3,
)

rk4 = explicit_rk(
    ButcherTableau(
        a=((F(1, 2),), (0, F(1, 2)), (0, 0, 1)),
        b=(F(1, 6), F(1, 3), F(1, 3), F(1, 6)),
        c=(0, F(1, 2), F(1, 2), 1),
    ),
    order=4,
)

# Bogacki and Shampine, Appl. Math. Lett. 2 (1989).
bogacki_shampine3 = explicit_rk(
    ButcherTableau(
        a=((F(1, 2),), (0, F(3, 4))),
        b=(F(2, 9), F(1, 3), F(4, 9)),
        c=(0, F(1, 2), F(3, 4)),
    ),
    order=3,
)

# Ch. Tsitouras, Comput. Math. Appl. 62 (2011): coefficients to double precision.
tsitouras5 = explicit_rk(
    ButcherTableau(
        a=(
            (0.161,),
            (-0.008480655492356989, 0.335480655492357),
            (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
            (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
            (
                5.86145544294642,
                -12.92096931784711,
                8.159367898576159,
                -0.071584973281401,
                -0.028269050394068383,
            ),
        ),
        b=(
            0.09646076681806523,
            0.01,
            0.4798896504144996,
            1.379008574103742,
            -3.290069515436081,
            2.324710524099774,
        ),
        c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0),
    ),
    order=5,
)

# J. R. Dormand and P. J. Prince, J. Comput. Appl. Math. 6 (1980).
dormand_prince5 = explicit_rk(
    ButcherTableau(
        a=(
            (F(1, 5),),
            (F(3, 40), F(9, 40)),
            (F(44, 45), F(-56, 15), F(32, 9)),
            (F(19372, 6561), F(-25360, 2187), F(64448, 6561), F(-212, 729)),
            (F(9017, 3168), F(-355, 33), F(46732, 5247), F(49, 176), F(-5103, 18656)),
        ),
        b=(F(35, 384), 0, F(500, 1113), F(125, 192), F(-2187, 6784), F(11, 84)),
        c=(0, F(1, 5), F(3, 10), F(4, 5), F(8, 9), 1),
    ),
    order=5,
)
