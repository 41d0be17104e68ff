"""Physics, and a network that adds what the physics does not model."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from sim import Stepper, check
from sim.inputs import at
from sim.records.experiment import column_scale
from sim.rnn.mlp import mlp
from sim.step import as_pytree


class StateScaling(NamedTuple):
    """Scales that bring states and inputs near 1, and the outputs of a network to a correction.

    Attributes:
        y_mean, y_scale: (states,), in the order of the leaves.
        u_mean, u_scale: (inputs,); empty without input.
        out_scale: (states,), of the correction: a rate of change for a vector field, a
            change for a step.
    """

    y_mean: Any
    y_scale: Any
    u_mean: Any
    u_scale: Any
    out_scale: Any


@runtime_checkable
class StateCarry(Protocol):
    """A carry that has the state as ``y``, among other things, as an integrator's has."""

    y: Any


def state_scaling(ys: Any, us: Any, outs: Any) -> StateScaling:
    """Means and standard deviations along a run: take one of the physics alone, over the record.

    Args:
        ys: states, a pytree of arrays (N, …).
        us: inputs (N, …), or None.
        outs: as ``ys``: rates of change for `corrected_field`, changes from step to step
            for `corrected_step`. The network corrects in their unit.

    >>> ys = jnp.array([[0.0], [2.0]])
    >>> found = state_scaling(ys, None, 10 * ys)
    >>> found.y_mean.tolist(), found.y_scale.tolist(), found.out_scale.tolist()
    ([1.0], [1.0], [10.0])
    """
    moments = []
    for tree in (ys, us, outs):
        rows = np.asarray(jax.vmap(_flat)(tree)) if jax.tree.leaves(tree) else np.zeros((1, 0))
        moments += [rows.mean(axis=0), column_scale(rows)]
    *around, _, out = (jnp.asarray(x, jnp.result_type(float)) for x in moments)
    return StateScaling(*around, out)


def correction(net: Any, scaling: StateScaling) -> Callable[[Any, Any], Any]:
    """N(y, u) = σ_out ⊙ MLP([(y − ȳ)/σ_y, (u − ū)/σ_u])

    Args:
        net: of ``mlp_params(key, (states + inputs, …, states), gain=0.0)``: with gain 0 the
            correction begins as zero.
        scaling: `StateScaling`.

    Returns:
        ``N(y, u)`` with the structure of y, a `jax.tree_util.Partial`: of any pytree y of
        floats, and of u, a pytree or None.

    Raises:
        ValueError: from N, states or inputs do not fit the scaling or the network.

    >>> ones = StateScaling(*(jnp.ones(n) for n in (2, 2, 0, 0, 2)))
    >>> net = ((jnp.eye(2), jnp.zeros(2)),)
    >>> correction(net, ones)({"q": jnp.asarray(3.0), "v": jnp.asarray(1.0)}, None)["q"].tolist()
    2.0
    """
    if not isinstance(scaling, StateScaling):
        raise ValueError(f"scaling: expected a StateScaling, got {type(scaling).__name__}")
    return Partial(_correction, net, scaling)


def corrected_field(field: Callable, correction: Callable) -> Callable:
    """A vector field plus a correction:

        ẏ = f(t, y, u) + N(y, u)

    Args:
        field: ``f(t, y, u)``, of `sim.models` or any other.
        correction: ``N(y, u)``, as `correction` makes it, or any function.

    Returns:
        A vector field, which any integrator takes; a pytree as both are.

    Raises:
        ValueError: N gives another structure, or other shapes, than f.

    Reference: C. Rackauckas et al., "Universal differential equations for
    scientific machine learning", arXiv 2001.04385.

    >>> field = corrected_field(lambda t, y, u: -y, lambda y, u: 0.5 * u)
    >>> float(field(0.0, 2.0, 1.0))
    -1.5
    """
    return Partial(_field, as_pytree(field), as_pytree(correction))


def corrected_step(stepper: Stepper, correction: Callable) -> Stepper:
    """A step of the physics plus a correction:

        y_{k+1} = Φ(y_k, u_k) + N(y_k, u_k)

    Args:
        stepper: whose carry is the state or a `StateCarry`; it emits the state.
        correction: ``N(y, u)``, as `correction` makes it, or any function; u is the input
            at the start of the step.

    Returns:
        A `Stepper` with the carry of ``stepper``.

    Raises:
        ValueError: from the step, N gives another structure than the state, or the stepper
            emits another than its state.

    Reference: as `corrected_field`.

    >>> half = Stepper(jnp.asarray, lambda y, u: (y / 2, y / 2))
    >>> corrected_step(half, lambda y, u: u).step(jnp.asarray(4.0), jnp.asarray(1.0))[1].tolist()
    3.0
    """
    step = Partial(_step, as_pytree(stepper.step), as_pytree(correction))
    return Stepper(as_pytree(stepper.init), step)


def _flat(tree):
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)] or [jnp.zeros(0)])


def _correction(net, scaling, y, u):
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, y))
    flat = _flat(leaves)
    scale = jax.tree.map(lambda x: jnp.asarray(x, flat.dtype), scaling)
    parts = [_near_one("y", flat, scale.y_mean, scale.y_scale)]
    if jax.tree.leaves(u) or scale.u_mean.size:
        parts.append(_near_one("u", _flat(u).astype(flat.dtype), scale.u_mean, scale.u_scale))
    out = mlp(net, jnp.concatenate(parts))
    if out.shape != flat.shape:
        raise ValueError(f"net: expected {flat.size} outputs, one for each state, got {out.size}")
    out, corrections, start = scale.out_scale * out, [], 0
    for leaf in leaves:
        corrections.append(out[start : start + leaf.size].reshape(leaf.shape))
        start += leaf.size
    return jax.tree.unflatten(tree, corrections)


def _near_one(name, x, mean, scale):
    if x.shape != mean.shape:
        raise ValueError(f"{name}: expected {mean.size} numbers, as the scaling has, got {x.size}")
    return (x - mean) / scale


def _add_trees(name, a, b):
    if jax.tree.structure(a) != jax.tree.structure(b):
        raise ValueError(
            f"{name}: expected the structure {check.describe(a)}, got {check.describe(b)}"
        )
    shapes = [list(map(jnp.shape, jax.tree.leaves(tree))) for tree in (a, b)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{name}: expected the shapes {shapes[0]}, got {shapes[1]}")
    return jax.tree.map(jnp.add, a, b)


def _field(field, correction, t, y, u=None):
    return _add_trees("correction", field(t, y, u), correction(y, u))


def _step(step, correction, carry, x):
    before, (carry, y) = carry, check.pair(step(carry, x))
    # A state may itself have a field y, as that of the Lorenz system has.
    inside = isinstance(before, StateCarry) and jax.tree.structure(y) != jax.tree.structure(before)
    before = before.y if inside else before
    after = _add_trees("correction", y, correction(before, at(x, 0.0)))
    if jax.tree.structure(y) != jax.tree.structure(before):
        raise ValueError(
            f"stepper: expected one that emits its state {check.describe(before)}, "
            f"got {check.describe(y)}"
        )
    return (carry._replace(y=after) if inside else after), after
