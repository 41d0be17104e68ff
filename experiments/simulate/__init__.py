"""The task `simulate`: a model driven by an input, streamed into a file and a figure.

`task.py` is what a run of this task calls; no other task imports from here.
"""

from experiments.cli.tasks import Task

TASK = Task(
    summary="a model, driven by an input, through time",
    groups=("model", "integrator", "input"),
    open_keys=("model.initial", "input.reference"),
    unused_output=("keep",),
)
