"""The task `simulate`: a model driven by an input, streamed into a file and a figure.

`task.py` is what a run of this task calls; no other task imports from here.
"""
