"""The life of a run, whatever its task: directory, log, signals, resumption, summary.

The tasks and `experiments.run` import from here; this room knows no task by name.
"""
