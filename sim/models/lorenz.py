"""The Lorenz system: three equations of convection, and chaos."""

from typing import Any, NamedTuple

from jax.tree_util import Partial

from sim.models.arguments import as_named_tuple
from sim.models.model import Model, Quantity


class Params(NamedTuple):
    """Prandtl number σ, Rayleigh number relative to the critical one ρ, and shape β."""

    sigma: Any = 10.0
    rho: Any = 28.0
    beta: Any = 8.0 / 3.0


class State(NamedTuple):
    """Convection x, horizontal y and vertical z temperature variation, dimensionless."""

    x: Any
    y: Any
    z: Any


def lorenz(params: Params, t, y: State, u=None) -> State:
    """ẋ = σ (y − x),  ẏ = x (ρ − z) − y,  ż = x y − β z

    Args:
        params: σ, ρ and β.
        t: time, unused.
        y: x, y and z, scalars.
        u: unused; the system has no input.

    Returns:
        The derivatives of the state.

    Reference: E. N. Lorenz, "Deterministic nonperiodic flow", J. Atmos. Sci. 20 (1963).

    >>> lorenz(Params(beta=2.0), 0.0, State(1.0, 2.0, 3.0))
    State(x=10.0, y=23.0, z=-4.0)
    """
    sigma, rho, beta = params
    x, y, z = y
    return State(sigma * (y - x), x * (rho - z) - y, x * y - beta * z)


def model(params: Params = Params(), initial: State = State(1.0, 1.0, 1.0)) -> Model:
    """The Lorenz system as a model, autonomous.

    Raises:
        ValueError: params or initial is of another type, or a field is not a number.

    >>> model().initial
    State(x=1.0, y=1.0, z=1.0)
    """
    return Model(
        name="lorenz",
        field=Partial(lorenz, as_named_tuple("params", params, Params)),
        initial=as_named_tuple("initial", initial, State),
        quantities={
            "x": Quantity("1", "intensity of the convection"),
            "y": Quantity("1", "horizontal temperature variation"),
            "z": Quantity("1", "vertical temperature variation"),
        },
        units={"sigma": "1", "rho": "1", "beta": "1"},
    )
