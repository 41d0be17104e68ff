"""A task of the user's."""

from dataclasses import dataclass

from experiments.cli.tasks import Task


@dataclass(frozen=True)
class Keys:
    """rate: of the decay that is to be found, 1/s."""

    rate: float = 0.5


TASK = Task("find the rate of a decay", groups=("objective", "solver"), keys=Keys)
