"""The Duffing oscillator: a spring that stiffens, softens or has two wells."""

from typing import Any, NamedTuple

from jax.tree_util import Partial

from sim.models.arguments import as_named_tuple
from sim.models.model import Model, Quantity


class Params(NamedTuple):
    """Mass (kg), damping (N s m⁻¹), stiffness (N m⁻¹) and cubic stiffness (N m⁻³).

    The defaults have two wells, at ±1 m, and a hilltop between them.
    """

    mass: Any = 1.0
    damping: Any = 0.3
    stiffness: Any = -1.0
    cubic: Any = 1.0


class State(NamedTuple):
    """Position (m) and velocity (m s⁻¹)."""

    position: Any
    velocity: Any


def duffing(params: Params, t, y: State, u=None) -> State:
    """m ẍ + c ẋ + k x + k₃ x³ = F

    Args:
        params: mass m, damping c, stiffness k and cubic stiffness k₃.
        t: time, unused.
        y: x and ẋ, scalars.
        u: the force F in N, a scalar; None is no force.

    Returns:
        The derivatives of the state.

    Reference: J. Guckenheimer and P. Holmes, "Nonlinear Oscillations, Dynamical
    Systems, and Bifurcations of Vector Fields", Springer 1983, section 2.2.

    >>> duffing(Params(), 0.0, State(1.0, 0.0), 0.5)
    State(position=0.0, velocity=0.5)
    """
    mass, damping, stiffness, cubic = params
    x, v = y
    force = 0.0 if u is None else u
    return State(v, (force - damping * v - (stiffness + cubic * x * x) * x) / mass)


def energy(params: Params, y: State):
    """E = ½ m ẋ² + ½ k x² + ¼ k₃ x⁴, in J; kept without damping and force.

    >>> energy(Params(), State(1.0, 0.0))
    -0.25
    """
    mass, _, stiffness, cubic = params
    squared = y.position * y.position
    return 0.5 * mass * y.velocity**2 + (0.5 * stiffness + 0.25 * cubic * squared) * squared


def model(params: Params = Params(), initial: State = State(0.5, 0.0)) -> Model:
    """The Duffing oscillator as a model; the input is the force.

    Raises:
        ValueError: params or initial is of another type, or a field is not a number.

    >>> model(Params(cubic=2)).inputs
    ('force',)
    """
    return Model(
        name="duffing",
        field=Partial(duffing, as_named_tuple("params", params, Params)),
        initial=as_named_tuple("initial", initial, State),
        quantities={
            "position": Quantity("m", "position"),
            "velocity": Quantity("m s-1", "velocity"),
            "force": Quantity("N", "external force"),
        },
        inputs=("force",),
        units={"mass": "kg", "damping": "N s m-1", "stiffness": "N m-1", "cubic": "N m-3"},
    )
