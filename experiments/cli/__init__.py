"""Parts of the command line: configuration, targets, records of tasks, help and messages.

Nothing here imports JAX, so that help and errors in a configuration are answered at once.
Every other package of `experiments` may import from here; this one imports from itself only,
and finds the records of the tasks by walking their folders.
"""
