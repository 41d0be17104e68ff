"""System identification: parameters of any stepper from records of its input and output.

Symbols: ``p`` parameters as the model takes them, ``z`` the vector a search moves, ``x0``
the initial state of an experiment, ``r`` residuals, ``J`` their Jacobian.
"""

from sim.fit.experiment import Experiment, sampled
from sim.fit.fit import Fit, fit
from sim.fit.objectives import Prediction, Simulation
from sim.fit.parameters import (
    Bounded,
    Fixed,
    Free,
    Positive,
    PositiveDefinite,
    Prior,
    Tied,
    Triangular,
)
from sim.fit.uncertainty import Uncertainty

__all__ = [
    "Bounded",
    "Experiment",
    "Fit",
    "Fixed",
    "Free",
    "Positive",
    "PositiveDefinite",
    "Prediction",
    "Prior",
    "Simulation",
    "Tied",
    "Triangular",
    "Uncertainty",
    "fit",
    "sampled",
]
