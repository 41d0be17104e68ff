"""The task `learn`: networks trained on records, alone or beside physics.

`task.py` is what a run of this task calls; a configuration names networks and trainings here.
"""
