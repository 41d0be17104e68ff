"""System identification: parameters of any stepper from records of its input and output.

Symbols: ``p`` parameters as the model takes them, ``z`` the vector a search moves, ``x0``
the initial state of an experiment, ``r`` residuals, ``J`` their Jacobian.
"""

from sim.fit.linear_models.frequency_response import BestLinear, best_linear
from sim.fit.linear_models.innovations_model import Linear, linear
from sim.fit.linear_models.n4sid import Subspace, n4sid
from sim.fit.parameters.constraints import (
    Bounded,
    Fixed,
    Free,
    Positive,
    PositiveDefinite,
    Prior,
    Tied,
    Triangular,
)
from sim.fit.problem.free_run import free_run
from sim.fit.problem.objectives import Prediction, Simulation, Truncated
from sim.fit.problem.robust import Huber, StudentT
from sim.fit.result import Fit, Uncertainty
from sim.fit.search.checkpoint import load, save
from sim.fit.search.ensemble import Ensemble, Spread, ensemble, simulate_members
from sim.fit.search.fit import fit
from sim.fit.search.initial_state import initial_state
from sim.fit.search.multiple_shooting import shoot
from sim.fit.search.multistart import Multistart, multistart
from sim.fit.search.stages import fit_in_stages
from sim.fit.solvers.gauss_newton import GaussNewton
from sim.fit.uncertainty.bands import Band, bands
from sim.fit.uncertainty.coloured_residuals import coloured_uncertainty
from sim.fit.uncertainty.profile_likelihood import Profile, profile
from sim.fit.validation.cross_correlation import cross_correlation
from sim.fit.validation.information_criteria import aic, aicc, bic, log_likelihood, select
from sim.fit.validation.residuals import Criteria, criteria, residuals
from sim.fit.validation.scores import Scores, scores
from sim.fit.validation.whiteness import whiteness
from sim.records.experiment import Experiment, experiment_from_samples

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
