"""A multilayer perceptron: the static network inside others."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim import check
from sim.rnn import cell


def mlp_params(key: jax.Array, sizes: Sequence[int], *, dtype: Any = None, gain: float = 1.0):
    """Random initial parameters: weights normal with variance 1/inputs, biases uniform in ±1.

    Args:
        key: of `jax.random`.
        sizes: inputs, the widths of the hidden layers, outputs: two or more.
        dtype: of the parameters; None is the default float.
        gain: of the last layer; 0 for a network that begins as zero.

    Returns:
        A tuple of (W (inputs, outputs), b (outputs,)), one for each layer; the last b is zero.

    Raises:
        ValueError: fewer than two sizes, a size below 1, or a key that is not one of
            `jax.random`.

    >>> [W.shape for W, b in mlp_params(jax.random.key(0), (2, 8, 1))]
    [(2, 8), (8, 1)]
    """
    if np.ndim(sizes) != 1 or len(sizes) < 2:
        raise ValueError(f"sizes: expected at least inputs and outputs, got {sizes}")
    sizes = [check.positive("sizes", size) for size in sizes]
    cell.check_key(key)
    dtype = jnp.result_type(float) if dtype is None else dtype
    keys = jax.random.split(key, len(sizes) - 1)
    layers = []
    for layer_key, (n, m) in zip(keys, pairwise(sizes), strict=True):
        W_key, b_key = jax.random.split(layer_key)
        W = jax.random.normal(W_key, (n, m), dtype) * n**-0.5
        layers.append((W, jax.random.uniform(b_key, (m,), dtype, -1, 1)))
    W, b = layers[-1]
    return (*layers[:-1], (gain * W, jnp.zeros_like(b)))


def mlp(params, x: jax.Array) -> jax.Array:
    """hᵢ = tanh(hᵢ₋₁ Wᵢ + bᵢ), h₀ = x, and y = hₙ₋₁ Wₙ + bₙ without tanh.

    Args:
        params: of `mlp_params`.
        x: (..., inputs).

    Returns:
        y (..., outputs).

    Raises:
        ValueError: x does not fit the first layer, or a layer the next one.

    Reference: G. Cybenko, Math. Control Signals Systems 2 (1989) 303-314.

    >>> mlp(((jnp.ones((2, 3)), jnp.zeros(3)), (jnp.ones((3, 1)), jnp.ones(1))), jnp.zeros(2))
    Array([1.], dtype=float64)
    """
    for i, (W, b) in enumerate(params):
        if x.shape[-1:] != W.shape[:1]:
            name = "x" if i == 0 else f"params[{i}]"
            raise ValueError(
                f"{name}: expected (..., {W.shape[0]}), the inputs of layer {i}, "
                f"got shape {x.shape}"
            )
        x = cell.affine(x, W, b)
        x = jnp.tanh(x) if i + 1 < len(params) else x
    return x
