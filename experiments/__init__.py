"""The command line `scansim` and its tasks.

`run.py` is the entry point. A task is a folder whose ``__init__.py`` defines ``TASK`` and whose
``task.py`` runs it; what tasks share is in `cli`, `runs`, `records`, `plots` and
`identification`. Nothing here imports JAX before a run needs it: help, completion and errors
in a configuration are answered at once.
"""
