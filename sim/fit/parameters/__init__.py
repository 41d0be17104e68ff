"""Parameters by name, and the constraints that map a search vector to them.

Every other room of `sim.fit` imports from here; this room imports none of them.
"""

__all__ = ["constraints", "layout", "names", "parse", "vector"]
