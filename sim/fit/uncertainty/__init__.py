"""How far to trust a fit: covariances, intervals, bands and profiles.

The searches import from here; this room imports `problem`, `parameters` and `solvers`.
"""

__all__ = [
    "active_bounds",
    "autoregression",
    "bands",
    "coloured_residuals",
    "covariance",
    "profile_likelihood",
    "robust_covariance",
    "standard_errors",
]
