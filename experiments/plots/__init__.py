"""Figures that more than one task draws.

All tasks import from here; this room imports `experiments.cli` only.
"""
