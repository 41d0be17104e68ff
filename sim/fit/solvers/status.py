"""What a solver is: `init` and `step` like everything else here, and the state between them."""

from typing import Any, Protocol, runtime_checkable

SEARCHING, CONVERGED, STUCK = 0, 1, 2


class SolverState(Protocol):
    """The state of a search: a NamedTuple of arrays, so that it can be saved, and batched by
    `vmap`. A field that a solver has no use for is None.

    Attributes:
        z: (n,), where the search stands.
        rejected: steps in a row that were not taken.
        steps: evaluations after the first; passes over the records for training in windows.
        non_finite: how many of them were not finite.
        status: `SEARCHING`, `CONVERGED` or `STUCK`.
        linearisation: the `Linearisation` at z.
        grad: (n,), the slope of the loss at z.
        location: (2,), pass and window of the last place that was not finite, from 1 on;
            window 0 is a pass as a whole.
    """

    z: Any
    rejected: Any
    steps: Any
    non_finite: Any
    status: Any
    linearisation: Any
    grad: Any
    location: Any


@runtime_checkable
class Solver(Protocol):
    """A way to search. Any hashable object with these methods may be given to `fit` as
    ``solver=``; they are pure, for `jit` and `vmap`."""

    def init(self, problem, z) -> SolverState:
        """The state of a search that begins at z (n,)."""
        ...

    def step(self, problem, state, tolerance: float) -> SolverState:
        """The state one evaluation further."""
        ...

    def loss(self, state) -> Any:
        """The loss at ``state.z``, a scalar."""
        ...
