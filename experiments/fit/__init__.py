"""The task `fit`: parameters of a model from records, and how far to trust them.

`task.py` is what a run of this task calls; a configuration names the options here.
"""
