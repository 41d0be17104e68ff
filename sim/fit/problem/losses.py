"""The loss that a search minimises, as one number and as residuals, without derivatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.parameters.vector import prior_residuals
from sim.fit.problem.errors import NoForwardMode
from sim.fit.problem.problem import Problem, to_host


@jax.jit
def loss(problem: Problem, z):
    """L(z) = ½ |r|², or −ℓ of a likelihood; with ½ ((θ − mean) / sd)² of every prior."""
    if not problem.objective.is_likelihood:
        r = residual_vector(problem, z)
        return 0.5 * jnp.sum(r * r)

    def loss_of_one(p, x0, e):
        return problem.objective.loss(p, x0, e)

    losses = map_experiments(problem, z, loss_of_one)
    return sum(jnp.sum(group) for group in losses) + prior_loss(problem, z)


def weighted_residuals(problem: Problem, errors):
    """r̃ of errors (…, outputs) in the unit of y: r̃² = ρ(w e), and ρ(r) = r² unless the
    objective is robust."""
    r = errors * problem.weights[(None,) * (errors.ndim - 1)]
    return r if problem.objective.robust is None else problem.objective.robust(r)


def residual_vector(problem: Problem, z):
    """r (m,): the weighted errors of all experiments, and the residuals of the priors."""

    def residuals_of_one(p, x0, e):
        return weighted_residuals(problem, problem.objective.errors(p, x0, e)[0])

    groups = [group.ravel() for group in map_experiments(problem, z, residuals_of_one)]
    return jnp.concatenate([*groups, *prior_rows(problem, z)])


def residuals(problem: Problem, z) -> list[np.ndarray]:
    """y − ŷ of each experiment, (N, outputs) or with a row for y0, in y's units; NaN is missing."""
    return problem.in_user_order(to_host(_errors_by_group(problem, z)))


@jax.jit
def _errors_by_group(problem: Problem, z):
    def errors_of_one(p, x0, e):
        y = e.y if e.y0 is None else jnp.concatenate([e.y0[None], e.y])
        errors, _ = problem.objective.errors(p, x0, e)
        return jnp.where(jnp.isnan(y), jnp.nan, errors)

    return map_experiments(problem, z, errors_of_one)


def prior_loss(problem: Problem, z):
    """½ Σ ((θ − mean) / sd)², a scalar."""
    squares = [0.5 * jnp.sum(row * row) for row in prior_rows(problem, z)]
    return sum(squares, start=jnp.zeros((), z.dtype))


def prior_rows(problem: Problem, z):
    """Residuals of the priors of the parameters, and of all initial states."""
    theta, states = problem.split_vector(z)
    rows = prior_residuals(problem.layout, problem.parameters(theta))
    for given, s in zip(problem.initial_states, states, strict=True):

        def rows_of_one(s, given):
            return problem.states.prior_rows(problem.states.unpack(s, given))

        rows += [row.ravel() for row in jax.vmap(rows_of_one)(s, given)]
    return rows


def map_experiments(problem: Problem, z, function: Callable) -> list:
    """function(p, x0, e) of all experiments, (E, …) for each group."""
    theta, states = problem.split_vector(z)
    p = problem.parameters(theta)
    results = []
    for group, given, s in zip(problem.groups, problem.initial_states, states, strict=True):

        def of_one(s, e, given):
            return function(p, problem.states.unpack(s, given), e)

        results.append(jax.vmap(of_one)(s, group, given))
    return results


def forward_mode(derivative: Callable, *args):
    """derivative(*args), which takes a derivative in forward mode.

    Raises:
        NoForwardMode: the model has none.
    """
    try:
        return derivative(*args)
    except TypeError as error:  # JAX has no type of its own for it
        if "custom_vjp" not in str(error):
            raise
        raise NoForwardMode(
            "solver: expected one of optax, such as optax.lbfgs(), for a model with "
            "jax.custom_vjp, which has no forward-mode derivative"
        ) from None
