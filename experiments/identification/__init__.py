"""What a fit and a training share: their records, a model as an objective, and the report.

The tasks `fit` and `learn` import from here; this room imports neither.
"""
