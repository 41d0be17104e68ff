"""System identification: parameters of any stepper from records of its input and output.

Symbols: ``p`` parameters as the model takes them, ``z`` the vector a search moves, ``x0``
the initial state of an experiment, ``r`` residuals, ``J`` their Jacobian.
"""

from sim.fit.bands import Band, bands
from sim.fit.best_linear import BestLinear, best_linear
from sim.fit.coloured import coloured_uncertainty
from sim.fit.ensemble import Ensemble, Spread, ensemble, simulate_members
from sim.fit.experiment import Experiment, experiment_from_samples
from sim.fit.fit import fit
from sim.fit.found import Fit
from sim.fit.gauss_newton import GaussNewton
from sim.fit.initial import free_run, initial_state
from sim.fit.kinds import (
    Bounded,
    Fixed,
    Free,
    Positive,
    PositiveDefinite,
    Prior,
    Tied,
    Triangular,
)
from sim.fit.linear import Linear, linear
from sim.fit.multistart import Multistart, multistart
from sim.fit.objectives import Prediction, Simulation
from sim.fit.orders import aic, aicc, bic, log_likelihood, select
from sim.fit.profile import Profile, profile
from sim.fit.residual_tests import cross_correlation, whiteness
from sim.fit.residuals import Criteria, criteria, residuals
from sim.fit.robust import Huber, StudentT
from sim.fit.saved import load, save
from sim.fit.scores import Scores, scores
from sim.fit.shooting import shoot
from sim.fit.stages import fit_in_stages
from sim.fit.subspace import Subspace, n4sid
from sim.fit.uncertainty import Uncertainty
from sim.fit.windows import Truncated

# Earlier names of the same functions.
coloured = coloured_uncertainty
predicted = free_run
sampled = experiment_from_samples
simulated = simulate_members
staged = fit_in_stages

__all__ = [
    "Band",
    "BestLinear",
    "Bounded",
    "Criteria",
    "Ensemble",
    "Experiment",
    "Fit",
    "Fixed",
    "Free",
    "GaussNewton",
    "Huber",
    "Linear",
    "Multistart",
    "Positive",
    "PositiveDefinite",
    "Prediction",
    "Prior",
    "Profile",
    "Scores",
    "Simulation",
    "Spread",
    "StudentT",
    "Subspace",
    "Tied",
    "Triangular",
    "Truncated",
    "Uncertainty",
    "aic",
    "aicc",
    "bands",
    "best_linear",
    "bic",
    "coloured",
    "coloured_uncertainty",
    "criteria",
    "cross_correlation",
    "ensemble",
    "experiment_from_samples",
    "fit",
    "fit_in_stages",
    "free_run",
    "initial_state",
    "linear",
    "load",
    "log_likelihood",
    "multistart",
    "n4sid",
    "predicted",
    "profile",
    "residuals",
    "sampled",
    "save",
    "scores",
    "select",
    "shoot",
    "simulate_members",
    "simulated",
    "staged",
    "whiteness",
]
