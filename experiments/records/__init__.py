"""Recorded files as columns, observations and times, and datasets written whole.

All tasks import from here; this room imports `experiments.cli` only.
"""
