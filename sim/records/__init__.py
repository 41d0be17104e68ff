"""Recorded experiments, for fits and networks.

`sim.fit`, `sim.rnn` and the tasks import from here; this room imports the kernel only.
"""

from sim.records.experiment import Experiment, experiment_from_samples
from sim.records.segments import pieces

__all__ = ["Experiment", "experiment_from_samples", "pieces"]
