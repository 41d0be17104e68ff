"""Newton's method for likelihoods, between trust and descent as Levenberg and Marquardt.

Steps by the whole curvature do not ask in which units the parameters are, and show where a
search has ended: what a full step would still gain.
"""

import jax
import jax.numpy as jnp

from sim.fit.problem.errors import NoForwardMode
from sim.fit.problem.quadratic_model import quadratic_model
from sim.fit.solvers import gradient_descent
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.status import CONVERGED, SEARCHING, STUCK

# Unknowns up to which each step takes the curvature; with more, L-BFGS learns it by and by.
MAX_UNKNOWNS = 100
# What rounding leaves of a log-likelihood, as a share of it, in units of the last digit.
ROUNDING_UNITS = 64


def init(problem, z):
    """The state of a search that begins at z: by the curvature, or by L-BFGS where the unknowns
    are many or the model has no forward-mode derivative."""
    if len(z) <= MAX_UNKNOWNS:
        try:
            return lm.init(z, quadratic_model(problem, z))
        except NoForwardMode:
            pass
    return gradient_descent.init(gradient_descent.lbfgs(), problem, z)


def step(problem, search, tolerance):
    """The search one evaluation further.

    It has converged where a full step, by the curvature made positive, foretells a gain of
    less than ``tolerance``, or than rounding leaves of the loss.
    """
    if search.linearisation is None:
        return gradient_descent.step(gradient_descent.lbfgs(), problem, search, tolerance)
    z = _propose(search)
    return _accept_or_reject(
        search, z, quadratic_model(problem, z), jnp.asarray(tolerance, z.dtype)
    )


def loss_at(search):
    """The loss where a search stands."""
    return search.loss if search.linearisation is None else search.linearisation.loss


_propose = jax.jit(lm.propose)


@jax.jit
def _accept_or_reject(search, z, found, tolerance):
    new = lm.accept_or_reject(search, z, found, tolerance)
    rounding = ROUNDING_UNITS * jnp.finfo(z.dtype).eps * jnp.abs(new.linearisation.loss)
    done = 0.5 * jnp.sum(new.linearisation.q**2) <= jnp.maximum(tolerance, rounding)
    status = jnp.where(
        done, CONVERGED, jnp.where(new.rejected >= lm.MAX_REJECTED, STUCK, SEARCHING)
    )
    return new._replace(status=status.astype(new.status.dtype))
