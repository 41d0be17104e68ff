"""Searches with a solver: one fit, many starts, segments, stages, ensembles.

Users reach them through `sim.fit`; this room imports every other one.
"""

__all__ = [
    "batched",
    "checkpoint",
    "conclude",
    "ensemble",
    "fit",
    "initial_state",
    "loop",
    "multiple_shooting",
    "multistart",
    "segments",
    "stages",
]
