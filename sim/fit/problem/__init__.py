"""What a search evaluates: objectives, residuals, losses and their derivatives.

Solvers, searches and uncertainty import from here; this room imports `parameters` only.
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
