"""The task `learn`: networks trained on records, alone or beside physics.

`task.py` is what a run of this task calls; a configuration names networks and trainings here.
"""

from experiments.cli.tasks import Task

TASK = Task(
    summary="a network from records, alone or added to a model",
    groups=("network", "data", "learn"),
    # The one network that is added to the vector field of a model.
    groups_with={"experiments.learn.networks.correction": ("model", "integrator")},
    open_keys=("model.initial", "data.published", "network.parameters"),
    unused_output=("chunk", "phase", "keep"),
    keys_from_record=("duration", "t0", "output.save_every"),
    figure_name="learn",
)
