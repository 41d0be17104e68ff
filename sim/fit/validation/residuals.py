"""Residuals of a finished fit, and its information criteria."""

from typing import NamedTuple

import numpy as np

from sim.fit.problem.losses import loss, prior_loss
from sim.fit.problem.losses import residuals as errors
from sim.fit.result import Fit
from sim.fit.validation.information_criteria import aic, aicc, bic, log_likelihood


def residuals(found: Fit) -> list[np.ndarray]:
    """e = y − ŷ of each experiment, in the form that `whiteness` takes.

    Args:
        found: a fit of any objective: the errors of a simulation, the innovations of a filter.

    Returns:
        For each experiment (N, outputs), in the units of y, NaN where a sample is missing;
        (N + 1, outputs) with the error of y0 first, where the experiment has one.

    >>> import jax.numpy as jnp
    >>> from sim import Stepper
    >>> from sim.fit import Experiment, Simulation, fit
    >>> def model(p):   # its output is p["level"] at all times
    ...     return Stepper(jnp.asarray, lambda s, _: (s, p["level"]))
    >>> e = Experiment(None, jnp.array([[1.0], [np.nan], [3.0]]))
    >>> found = fit(Simulation(model), {"level": 1.0}, e, states=0.0, free_states=False)
    >>> residuals(found)[0].ravel().round(3).tolist()
    [-1.0, nan, 1.0]
    """
    return errors(found.problem, found.minimum)


class Criteria(NamedTuple):
    """Information criteria of one fit, to be compared with those of other models of the same
    record.

    Attributes:
        loglik: the largest logarithm of the likelihood, without the priors.
        params: the number of fitted parameters, including the variances of the noise.
        samples: the number of observed samples.
        aic, aicc, bic: smaller is better.
    """

    loglik: float
    params: int
    samples: int
    aic: float
    aicc: float
    bic: float


def criteria(found: Fit) -> Criteria:
    """The likelihood of a fit, and Akaike's and Schwarz's criteria.

        ℓ = −Σᵢ nᵢ/2 (log(2π Σ eᵢ² / nᵢ) + 1) of a simulation, summed over its outputs

    Args:
        found: a fit of a `Simulation`, whose noise is taken as white, normal and uncorrelated
            between outputs; or of a `Prediction`, whose filter models the noise.

    Reference: K. P. Burnham and D. R. Anderson, *Model Selection and Multimodel Inference*,
    2nd ed., Springer 2002, section 2.2.

    >>> import jax.numpy as jnp
    >>> from sim import Stepper
    >>> from sim.fit import Experiment, Simulation, fit
    >>> def model(p):
    ...     return Stepper(jnp.asarray, lambda s, _: (s, p["level"]))
    >>> e = Experiment(None, jnp.array([[1.0], [2.0], [3.0]]))
    >>> found = fit(Simulation(model), {"level": 1.0}, e, states=0.0, free_states=False)
    >>> criteria(found).params, round(criteria(found).aic, 4)   # the level, and the variance
    (2, 11.2972)
    """
    problem = found.problem
    z, params, samples = found.minimum, problem.unknowns, problem.samples
    if problem.objective.is_likelihood:
        loglik = float(prior_loss(problem, z) - loss(problem, z))
    else:
        e = np.concatenate(residuals(found))
        params += e.shape[1]
        loglik = sum(log_likelihood(np.nansum(e_i**2), np.isfinite(e_i).sum()) for e_i in e.T)
    values = (criterion(loglik, params, samples) for criterion in (aic, aicc, bic))
    return Criteria(float(loglik), params, samples, *map(float, values))
