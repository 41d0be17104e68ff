"""The task `filter`: a signal filter over a record.

`task.py` is what a run of this task calls; no other task imports from here.
"""
