"""The task `estimate`: a filter, a smoother and a forecast over recorded observations.

`task.py` is what a run of this task calls; a configuration names the estimators here.
"""

from dataclasses import dataclass

from experiments.cli.tasks import Task


@dataclass(frozen=True)
class Keys:
    """The task's own keys.

    forecast: steps beyond the end of the record.
    """

    forecast: int = 0

    def __post_init__(self):
        if self.forecast < 0:
            raise ValueError(
                f"forecast: expected a whole number of at least 0, got {self.forecast}"
            )


TASK = Task(
    summary="states from observations: a filter, its smoother and a forecast",
    groups=("estimator", "input"),
    optional_groups=("update",),
    open_keys=("input.truth", "estimator.model.initial"),
    keys=Keys,
    unused_output=("chunk", "phase"),
    record="observations to estimate from",
)
