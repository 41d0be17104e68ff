"""The task `filter`: a signal filter over a record.

`task.py` is what a run of this task calls; no other task imports from here.
"""

from dataclasses import dataclass
from typing import Literal

from experiments.cli.tasks import Task


@dataclass(frozen=True)
class Keys:
    """The task's own keys.

    zero_phase: whether the filter runs forwards and backwards, so that nothing is delayed.
    gap: what it does at a missing sample: raise, hold the value before it, or propagate it.
    """

    zero_phase: bool = False
    gap: Literal["raise", "hold", "propagate"] = "raise"


TASK = Task(
    summary="a recorded signal through a digital filter",
    groups=("design", "input"),
    keys=Keys,
    unused_output=("chunk", "phase", "keep"),
    record="a record to filter",
)
