"""Many members, each from its own start, trained in one compiled program."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from sim.fit.experiment import Experiment


class Ensemble(NamedTuple):
    """What an ensemble has found, M members along the first axis.

    Attributes:
        params: the best parameters of each member.
        states: the initial state of each experiment, (M, …).
        loss: (steps + 1, M), as of `Fit`.
        validation: (steps + 1, M), the losses on the validation experiments, or None.
        finite: (M,), which members stayed finite; the others count nowhere.
        message: how it ended, in words.
        search: the whole state of the search, one pytree: `ensemble` goes on from it.
    """

    params: Any
    states: tuple[Any, ...]
    loss: np.ndarray
    validation: np.ndarray | None
    finite: np.ndarray
    message: str
    search: Any


class Spread(NamedTuple):
    """Mean and standard deviation over members, (N, outputs)."""

    mean: jax.Array
    sd: jax.Array


def ensemble(
    objective,
    starts: Any,
    experiments: Experiment | Sequence[Experiment],
    *,
    parameters: Mapping[str, Any] | None = None,
    states: Any = None,
    free_states: bool | None = None,
    solver: Any = None,
    validation: Experiment | Sequence[Experiment] | None = None,
    patience: int | None = None,
    steps: int = 100,
    tolerance: float = 1e-9,
    search: Any = None,
    report: Callable[[int, np.ndarray], Any] | None = None,
) -> Ensemble:
    """`fit` from several starts at once.

    Args:
        starts: parameters with a leading axis of members, as
            ``jax.vmap(lambda k: gru_params(k, 1, 8))(keys)`` makes them.
        report: called after each evaluation with its number and the losses (M,).
        others: as `fit` takes them.
    """
    raise NotImplementedError


def simulated(
    objective, params: Any, experiment: Experiment, state: Any = None, finite: Any = None
) -> Spread:
    """Mean and standard deviation of a free run over the members of an ensemble.

    Args:
        params: with a leading axis of members.
        finite: (M,), which members count; None is all.
    """
    raise NotImplementedError
