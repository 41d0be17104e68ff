"""Ways to search, one file each, and the choice among them.

The searches import from here; this room imports `problem` and `parameters`.
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
