"""Around a layer: a norm before it, a residual connection past it, a linear readout after it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from sim import Stepper, check
from sim.rnn import cell
from sim.step import as_pytree

EPSILON = 1e-5  # added to the variance, so that a constant input stays finite


class LayerNorm(NamedTuple):
    """The parameters of `layer_norm`: scale and shift, each (width,)."""

    scale: jax.Array
    shift: jax.Array


def layer_norm_params(width: int, *, dtype: Any = None) -> LayerNorm:
    """Scale 1 and shift 0.

    >>> layer_norm_params(2).scale.tolist()
    [1.0, 1.0]
    """
    width = check.positive("width", width)
    return LayerNorm(jnp.ones(width, dtype), jnp.zeros(width, dtype))


def layer_norm(stepper: Stepper, params: LayerNorm) -> Stepper:
    """A layer whose input is normalised first, over its last axis:

        step(c, scale ⊙ (x − x̄)/√(var x + 10⁻⁵) + shift)

    Args:
        stepper: any layer.
        params: `LayerNorm` of the width of x.

    Returns:
        A `Stepper` with the carry of ``stepper``.

    Raises:
        ValueError: from the step, x has another width.

    Reference: J. L. Ba et al., arXiv 1607.06450; before the layer as in R. Xiong et al.,
    ICML 2020.

    >>> pass_on = Stepper(lambda: jnp.zeros(1), lambda c, x: (c, x))
    >>> y = layer_norm(pass_on, layer_norm_params(2)).step(None, jnp.array([1.0, 3.0]))[1]
    >>> y.round(3).tolist()
    [-1.0, 1.0]
    """
    cell.check_type(params, LayerNorm)
    return Stepper(
        as_pytree(stepper.init), Partial(_normalise_step, as_pytree(stepper.step), params)
    )


def _normalise_step(step, params, carry, x):
    x = jnp.asarray(x)
    if x.shape[-1:] != params.scale.shape:
        raise ValueError(
            f"x: expected (..., {params.scale.shape[0]}), the width of the norm, "
            f"got shape {x.shape}"
        )
    centred = x - x.mean(axis=-1, keepdims=True)
    x = centred * jax.lax.rsqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    scale, shift = (jnp.broadcast_to(p, x.shape) for p in params)
    return step(carry, scale * x + shift)


def residual(stepper: Stepper) -> Stepper:
    """A layer that adds its output to its input: y = x + step(c, x).

    Args:
        stepper: a layer whose y is as wide as its x.

    Returns:
        A `Stepper` with the carry of ``stepper``.

    Raises:
        ValueError: from the step, y has another shape or dtype than x.

    Reference: K. He et al., CVPR 2016, arXiv 1512.03385.

    >>> half = Stepper(lambda: jnp.zeros(1), lambda c, x: (c, x / 2))
    >>> residual(half).step(None, jnp.array([2.0]))[1].tolist()
    [3.0]
    """
    return Stepper(as_pytree(stepper.init), Partial(_add_input, as_pytree(stepper.step)))


def _add_input(step, carry, x):
    x = jnp.asarray(x)
    carry, y = check.pair(step(carry, x))
    if check.aval(y) != check.aval(x):
        raise ValueError(
            f"residual: expected a layer that keeps {check.aval(x)}, got {check.aval(y)}"
        )
    return carry, x + y


def readout(stepper: Stepper, W: jax.Array, b: jax.Array) -> Stepper:
    """A linear map of the output of a layer: y = step(c, x) W + b.

    Args:
        stepper: any layer, y (..., hidden).
        W: (hidden, outputs).
        b: (outputs,).

    Returns:
        A `Stepper` with the carry of ``stepper``, y (..., outputs).

    Raises:
        ValueError: W or b have other shapes; from the step, W does not fit the width of y.

    Reference: J. L. Elman, Cognitive Science 14 (1990).

    >>> pass_on = Stepper(lambda: jnp.zeros(1), lambda c, x: (c, x))
    >>> total = readout(pass_on, jnp.ones((3, 1)), jnp.zeros(1))
    >>> total.step(None, jnp.array([1.0, 2.0, 3.0]))[1].tolist()
    [6.0]
    """
    if jnp.ndim(W) < 2 or jnp.shape(b) != jnp.shape(W)[:-2] + jnp.shape(W)[-1:]:
        raise ValueError(
            f"W, b: expected shapes (hidden, outputs) and (outputs,), "
            f"got {jnp.shape(W)} and {jnp.shape(b)}"
        )
    return Stepper(as_pytree(stepper.init), Partial(_read_out, as_pytree(stepper.step), W, b))


def _read_out(step, W, b, carry, x):
    carry, y = check.pair(step(carry, x))
    if y.shape[-1:] != W.shape[:1]:
        raise ValueError(
            f"W: expected ({y.shape[-1]}, outputs), the width of the layer, got {W.shape}"
        )
    return carry, cell.affine(y, W, b)
