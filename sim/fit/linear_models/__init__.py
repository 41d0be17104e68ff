"""Linear systems from records: subspace identification, innovations form, frequency response.

Users reach them through `sim.fit`; no other room imports from here.
"""

__all__ = ["frequency_response", "hankel", "innovations_model", "n4sid", "predictor"]
