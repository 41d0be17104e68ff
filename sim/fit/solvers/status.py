"""How far a solver has come."""

SEARCHING, CONVERGED, STUCK = 0, 1, 2
