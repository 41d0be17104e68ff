"""What runs: the Hydra entry point, and one short file per task.

Nothing here imports JAX before a run needs it, so that help, completion and a
mistake in the configuration are answered at once.
"""
