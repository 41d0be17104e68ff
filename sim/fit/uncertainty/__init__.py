"""The uncertainty of a fit: covariances, intervals, bands and profiles.

The searches import from here; this room imports `problem`, `parameters` and `solvers`.
"""

__all__ = [
    "active_bounds",
    "autoregression",
    "bands",
    "coloured_residuals",
    "covariance",
    "profile_likelihood",
    "profile_places",
    "robust_covariance",
    "searched_numbers",
    "standard_errors",
]
