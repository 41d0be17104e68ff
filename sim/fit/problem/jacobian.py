"""Residuals of one experiment and their Jacobian, along its parameters and its own state.

One forward-mode pass, which does not see the other experiments' states; or, for many
parameters and few states, sensitivities that are carried along with the state.
"""

from functools import partial

import jax
import jax.numpy as jnp

from sim.fit.parameters.vector import prior_residuals
from sim.fit.problem.losses import forward_mode, weighted_residuals
from sim.fit.problem.problem import Problem
from sim.fit.problem.sensitivities import is_worthwhile, with_sensitivities


def errors_with_jacobian(problem: Problem, theta, s, e, given):
    """r and the final state of one experiment, and their slopes along (θ, s).

    Args:
        theta: (n,), numbers of the parameters.
        s: (m,), numbers of the initial state, in their own units.
        e, given: the experiment, and its initial state as given.

    Returns:
        (r, end), the weighted errors and the priors of the state (k,), and the numbers of the
        final state, empty unless experiments continue each other; and their Jacobians, with
        a last axis (n + m,).
    """
    both, n = jnp.concatenate([theta, s]), len(theta)

    def model_at(v):
        return problem.parameters(v[:n]), problem.states.unpack(v[n:], given)

    if not is_worthwhile(problem.objective, both, model_at, e):
        return _with_jacobian(lambda theta, s: _residuals(problem, theta, s, e, given), theta, s)
    (errors, end), (slopes, ends) = with_sensitivities(problem.objective, both, model_at, e)
    priors, prior_slopes = _with_jacobian(
        lambda theta, s: _state_prior_rows(problem, s, given), theta, s
    )
    errors, by_errors = jax.jvp(
        partial(weighted_residuals, problem), (errors,), (jnp.ones_like(errors),)
    )
    r = errors.ravel(), priors
    J = (slopes * by_errors[..., None]).reshape(errors.size, len(both)), prior_slopes
    r, J = jnp.concatenate(r), jnp.concatenate(J)
    if problem.join is None:
        return (r, s[:0]), (J, J[:0])
    end = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(end)])
    ends = jnp.concatenate([leaf.reshape(-1, len(both)) for leaf in jax.tree.leaves(ends)])
    return (r, end), (J, ends)


def parameter_priors_with_jacobian(problem: Problem, theta):
    """Residuals (k,) of the priors of the parameters, and their Jacobian (k, n)."""

    def prior_rows(theta, s):
        return jnp.concatenate(prior_residuals(problem.layout, problem.parameters(theta)))

    return _with_jacobian(prior_rows, theta, theta[:0])


def _residuals(problem: Problem, theta, s, e, given):
    """Weighted errors of one experiment and the priors of its state, flat; and the numbers of
    its final state."""
    p, x0 = problem.parameters(theta), problem.states.unpack(s, given)
    errors, end = problem.objective.errors(p, x0, e)
    r = jnp.concatenate(
        [weighted_residuals(problem, errors).ravel(), *problem.states.prior_rows(x0)]
    )
    if problem.join is None:
        return r, s[:0]
    return r, jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(end)])


def _state_prior_rows(problem, s, given):
    return jnp.concatenate([s[:0], *problem.states.prior_rows(problem.states.unpack(s, given))])


def _with_jacobian(f, theta, s):
    """f and ∂f/∂(θ, s), (…, n + m), in one forward pass for all directions."""
    both, n = jnp.concatenate([theta, s]), len(theta)

    def derivative_along(direction):
        return forward_mode(jax.jvp, lambda v: f(v[:n], v[n:]), (both,), (direction,))

    return jax.vmap(derivative_along, out_axes=(None, -1))(jnp.eye(len(both), dtype=both.dtype))
