"""Newton's method for likelihoods, damped as by Levenberg and Marquardt.

Steps by the whole Hessian do not depend on the units of the parameters, and tell when a
search has converged: by what a full step would still gain.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sim.fit.problem.errors import NoForwardMode
from sim.fit.problem.quadratic_model import quadratic_model
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.gradient_descent import GradientDescent, lbfgs
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK

# Unknowns up to which each step takes the Hessian; with more, L-BFGS approximates it.
MAX_UNKNOWNS = 100
# What rounding leaves of a log-likelihood, as a share of it, in units of the last digit.
ROUNDING_UNITS = 64


@dataclass(frozen=True)
class Newton:
    """The solver of `fit` for a likelihood: Newton's method, or L-BFGS if the unknowns are many
    or the model has no forward-mode derivative.

    Reference: J. Nocedal and S. J. Wright, *Numerical Optimization*, 2nd ed., Springer
    2006, sections 3.3 and 7.2.
    """

    def init(self, problem, z):
        """The state of a search that begins at z."""
        if len(z) <= MAX_UNKNOWNS:
            try:
                return lm.init(z, quadratic_model(problem, z))
            except NoForwardMode:
                pass
        return GradientDescent(lbfgs()).init(problem, z)

    def step(self, problem, state, tolerance: float):
        """The search one evaluation further.

        It has converged if a full step, by the curvature made positive, is predicted to gain
        less than ``tolerance``, or less than rounding leaves of the loss.
        """
        if state.linearisation is None:
            return GradientDescent(lbfgs()).step(problem, state, tolerance)
        z = _propose(state)
        proposed = quadratic_model(problem, z)
        return _accept_or_reject(state, z, proposed, jnp.asarray(tolerance, z.dtype))

    def loss(self, state):
        """−log-likelihood, with the priors, where the search stands."""
        return state.loss if state.linearisation is None else state.linearisation.loss


_propose = jax.jit(lm.propose)


@jax.jit
def _accept_or_reject(state, z, proposed, tolerance):
    new = lm.accept_or_reject(state, z, proposed, tolerance)
    rounding = ROUNDING_UNITS * jnp.finfo(z.dtype).eps * jnp.abs(new.linearisation.loss)
    done = 0.5 * jnp.sum(new.linearisation.q**2) <= jnp.maximum(tolerance, rounding)
    stuck = jnp.where(new.rejected >= lm.MAX_REJECTED, STUCK, SEARCHING)
    return new._replace(status=jnp.where(done, CONVERGED, stuck).astype(new.status.dtype))
