"""What a search evaluates: objectives, residuals, losses and their derivatives.

All rooms but `parameters` import from here; this room imports `parameters` only. A new
objective is one class that follows `sim.fit.problem.objectives.Objective`.
"""

__all__ = [
    "assemble",
    "errors",
    "fingerprint",
    "free_run",
    "jacobian",
    "linearisation",
    "losses",
    "objectives",
    "problem",
    "quadratic_model",
    "robust",
    "sensitivities",
]
