"""Tests of a finished fit: residuals, scores and information criteria.

Users reach them through `sim.fit`; no other room imports from here.
"""

__all__ = [
    "cross_correlation",
    "information_criteria",
    "residual_series",
    "residuals",
    "scores",
    "whiteness",
]
