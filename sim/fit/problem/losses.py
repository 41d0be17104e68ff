"""What a search makes small, as one number and as its rows, without slopes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sim.fit.parameters.vector import prior_residuals
from sim.fit.problem.errors import NoForwardMode
from sim.fit.problem.objectives import is_likelihood


@jax.jit
def loss(problem, z):
    """L(z) = ½ |r|², or −ℓ of a likelihood; with ½ ((θ − mean) / sd)² of every prior."""
    if not is_likelihood(problem.objective):
        r = residual_vector(problem, z)
        return 0.5 * jnp.sum(r * r)

    def one(p, x0, e):
        return problem.objective.loss(p, x0, e)

    return sum(jnp.sum(part) for part in map_experiments(problem, z, one)) + prior_loss(problem, z)


def weighted_residuals(problem, errors):
    """Errors (…, outputs) in the unit of y as their squares make the loss: r̃ with r̃² = ρ(w e)."""
    r = errors * problem.weights[(None,) * (errors.ndim - 1)]
    return r if problem.robust is None else problem.robust(r)


def residual_vector(problem, z):
    """r (m,): the weighted errors of all experiments, and the rows of the priors."""

    def one(p, x0, e):
        return weighted_residuals(problem, problem.objective.errors(p, x0, e)[0])

    parts = [part.ravel() for part in map_experiments(problem, z, one)]
    return jnp.concatenate([*parts, *prior_rows(problem, z)])


def prior_loss(problem, z):
    """½ Σ ((θ − mean) / sd)², a scalar."""
    squares = [0.5 * jnp.sum(row * row) for row in prior_rows(problem, z)]
    return sum(squares, start=jnp.zeros((), z.dtype))


def prior_rows(problem, z):
    """Rows of what is known beforehand of the parameters, and of all initial states."""
    theta, states = problem.parts(z)
    found = prior_residuals(problem.declared, problem.parameters(theta))
    for given, s in zip(problem.given, states, strict=True):

        def own(s, given):
            return problem.states.priors(problem.states.state(s, given))

        found += [row.ravel() for row in jax.vmap(own)(s, given)]
    return found


def map_experiments(problem, z, one):
    """one(p, x0, e) of all experiments, group by group."""
    theta, states = problem.parts(z)
    p = problem.parameters(theta)
    found = []
    for group, given, s in zip(problem.groups, problem.given, states, strict=True):

        def own(s, e, given):
            return one(p, problem.states.state(s, given), e)

        found.append(jax.vmap(own)(s, group, given))
    return found


def forward_mode(derivative: Callable, *args):
    """derivative(*args), which takes a derivative in forward mode.

    Raises:
        NoForwardMode: the model has none.
    """
    try:
        return derivative(*args)
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        raise NoForwardMode(
            "solver: expected one of optax, such as optax.lbfgs(), for a model with "
            "jax.custom_vjp, which has no forward-mode derivative"
        ) from None
