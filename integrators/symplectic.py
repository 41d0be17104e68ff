"""Methods for states that are a pair, position and velocity (or momentum).

The state is any pytree with exactly two children (q, v), such as a NamedTuple of two
fields, and the vector field returns the pair of their derivatives. For a separable
Hamiltonian these methods are symplectic: the energy error stays bounded for ever.

Reference: E. Hairer, Ch. Lubich and G. Wanner, "Geometric Numerical Integration",
2nd ed., Springer 2006, sections I.1 and I.3.
"""

import jax

from integrators.base import OneStep, add


def _pair(y):
    """q, v, and the function that puts such a pair together again."""
    children, treedef = jax.tree.flatten(y, is_leaf=lambda node: node is not y)
    if len(children) != 2 or jax.tree_util.all_leaves([y]):
        raise ValueError(
            "y: expected a pair (position, velocity), such as a tuple or a NamedTuple of two "
            f"fields, got {jax.tree.structure(y)}"
        )
    return *children, lambda q, v: treedef.unflatten((q, v))


def _semi_implicit_euler(f, t, y, u, dt):
    q, v, pair = _pair(y)
    _, force, _ = _pair(f(t, y, u(0.0)))
    v = add(v, dt, [(1.0, force)])
    velocity, _, _ = _pair(f(t, pair(q, v), u(0.0)))
    return pair(add(q, dt, [(1.0, velocity)]), v)


# The velocity first, then the position with the new velocity.
semi_implicit_euler = OneStep(_semi_implicit_euler, order=1)


def _velocity_verlet(f, t, y, u, dt):
    q, v, pair = _pair(y)
    _, before, _ = _pair(f(t, y, u(0.0)))
    half = add(v, dt, [(0.5, before)])
    velocity, _, _ = _pair(f(t + 0.5 * dt, pair(q, half), u(0.5)))
    q = add(q, dt, [(1.0, velocity)])
    # A force that depends on the velocity (damping) sees v + dt·a here, which keeps
    # the second order; a separable system does not notice.
    predicted = add(v, dt, [(1.0, before)])
    _, after, _ = _pair(f(t + dt, pair(q, predicted), u(1.0)))
    return pair(q, add(half, dt, [(0.5, after)]))


# Half a kick, a drift, half a kick.
velocity_verlet = OneStep(_velocity_verlet, order=2)
