"""The life cycle of a run: directory, log, signals, resumption and summary.

The tasks and `experiments.run` import from here. This package knows no task by name: it calls
the functions of `interface.TaskModule`.
"""
