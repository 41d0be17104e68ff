"""Tests of a finished fit: residuals, scores and information criteria.

Users reach them through `sim.fit`; no other room imports from here.
"""

__all__ = ["information_criteria", "residual_tests", "residuals", "scores"]
