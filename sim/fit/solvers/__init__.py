"""Solvers, one file each, and the choice among them.

The rooms `uncertainty` and `search` import from here; this room imports `problem`.
A new solver is one file with a class that follows `sim.fit.solvers.status.Solver`.
"""

__all__ = [
    "adam",
    "batches",
    "choose",
    "gauss_newton",
    "gradient_descent",
    "levenberg_marquardt",
    "newton",
    "status",
    "truncated_backprop",
]
