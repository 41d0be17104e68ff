"""The task `estimate`: a filter, a smoother and a forecast over recorded observations.

`task.py` is what a run of this task calls; a configuration names the estimators here.
"""
