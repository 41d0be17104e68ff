"""The task `fit`: parameters of a model from records, and how far to trust them.

`task.py` is what a run of this task calls; a configuration names the options here.
"""

from experiments.cli.tasks import Task

TASK = Task(
    summary="the parameters of a model from records",
    groups=("model", "integrator", "data", "fit"),
    open_keys=("model.initial", "data.published", "fit.parameters"),
    unused_output=("chunk", "phase", "keep"),
    keys_from_record=("duration", "t0", "output.save_every"),
    figure_name="fit",
)
