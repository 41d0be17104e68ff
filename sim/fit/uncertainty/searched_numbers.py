"""Names, values, slopes and ranges of all numbers that a search estimates, in one order: those of
the parameters first, then those of each experiment's initial state.
"""

import jax
import jax.numpy as jnp
import numpy as np

from sim.fit.parameters.constraints import Fixed, ParameterConstraint, Tied, supports
from sim.fit.parameters.layout import free_names
from sim.fit.parameters.names import state_name


def searched_names(problem) -> tuple[str, ...]:
    """The name of each number, (P,)."""
    names = free_names(problem.layout)
    if not problem.states.free:
        return names
    layout = problem.states.layout
    return names + tuple(
        state_name(layout.tree, i, name) for i in problem.order for name in free_names(layout)
    )


def searched_values(problem, z):
    """The value of each number at z, (P,)."""
    theta, states = problem.split_vector(z)
    values = _free_leaves(problem.layout, problem.parameters(theta))
    if problem.states.free:
        layout = problem.states.layout

        def state_values(s, given):
            return jnp.concatenate(_free_leaves(layout, problem.states.unpack(s, given)))

        for given, s in zip(problem.initial_states, states, strict=True):
            values.append(jax.vmap(state_values)(s, given).ravel())
    return jnp.concatenate(values)


@jax.jit
def values_and_slopes(problem, z):
    """The value of each number (P,), and its derivative with respect to z, (P, n)."""
    return searched_values(problem, z), jax.jacfwd(searched_values, 1)(problem, z)


def searched_supports(problem) -> np.ndarray:
    """The range of each number, (P, 2)."""
    return np.concatenate([supports(kind, shape) for kind, shape in _free_rows(problem)])


def searched_constraints(problem) -> list[ParameterConstraint]:
    """The constraint of each number, (P,)."""
    return [kind for kind, shape in _free_rows(problem) for _ in range(int(np.prod(shape)))]


def _free_rows(problem):
    """Constraint and shape of each leaf that is searched."""
    states = [problem.states.layout] * len(problem.order) if problem.states.free else []
    for layout in (problem.layout, *states):
        for kind, shape in zip(layout.kinds, layout.shapes, strict=True):
            if not isinstance(kind, Fixed | Tied):
                yield kind, shape


def _free_leaves(layout, parameters):
    rows = zip(jax.tree.leaves(parameters), layout.kinds, strict=True)
    return [jnp.ravel(leaf) for leaf, kind in rows if not isinstance(kind, Fixed | Tied)]
