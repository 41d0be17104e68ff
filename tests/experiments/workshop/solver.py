"""A solver is one file: a state, `init`, `step` and `loss`."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from sim.fit.problem.linearisation import Linearisation, linearise
from sim.fit.solvers.status import CONVERGED, SEARCHING


class State(NamedTuple):
    """The state of a search."""

    z: jax.Array
    linearisation: Linearisation
    rejected: jax.Array
    steps: jax.Array
    non_finite: jax.Array
    status: jax.Array
    grad: None = None
    location: None = None


@dataclass(frozen=True)
class FullSteps:
    """Gauss-Newton steps of a constant share."""

    share: float = 1.0

    def init(self, problem, z) -> State:
        """The state of a search that begins at z."""
        zero = jnp.zeros((), jnp.result_type(int))
        return State(z, linearise(problem, z), zero, zero, zero, zero)

    def step(self, problem, state: State, tolerance: float) -> State:
        """The search one step further."""
        before = state.linearisation
        z = state.z - self.share * jax.scipy.linalg.solve_triangular(before.R, before.q)
        after = linearise(problem, z)
        settled = before.loss - after.loss <= tolerance * before.loss
        status = jnp.where(settled, CONVERGED, SEARCHING)
        return state._replace(z=z, linearisation=after, steps=state.steps + 1, status=status)

    def loss(self, state: State):
        """The loss where the search stands."""
        return state.linearisation.loss
