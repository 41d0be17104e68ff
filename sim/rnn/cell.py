"""What the cells share: random initial weights, and checks of shape, type and dtype.

The parameters of a cell give its widths.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.tree_util import keystr, tree_flatten_with_path

from sim import check

Shapes = Callable[[int, int], NamedTuple]


def weights(key: jax.Array, inputs: int, hidden: int, gates: int, dtype: Any):
    """W (inputs, gates·hidden) uniform after Glorot, and U (hidden, gates·hidden), one
    orthogonal matrix a gate.

    References: X. Glorot and Y. Bengio, AISTATS 2010; A. M. Saxe et al., arXiv 1312.6120.

    >>> W, U = weights(jax.random.key(0), 2, 4, 3, float)
    >>> W.shape, bool(jnp.allclose(U[:, 4:8].T @ U[:, 4:8], jnp.eye(4)))
    ((2, 12), True)
    """
    inputs, hidden = check.positive("inputs", inputs), check.positive("hidden", hidden)
    check_key(key)
    dtype = jnp.result_type(float) if dtype is None else dtype
    start, *keys = jax.random.split(key, gates + 1)
    limit = (6 / (inputs + hidden)) ** 0.5
    W = jax.random.uniform(start, (inputs, gates * hidden), dtype, -limit, limit)
    U = jnp.concatenate([orthogonal(k, hidden, dtype) for k in keys], axis=1)
    return W, U


def orthogonal(key: jax.Array, n: int, dtype: Any) -> jax.Array:
    """A random orthogonal matrix (n, n); orthogonal to rounding in a dtype of 16 bits.

    >>> orthogonal(jax.random.key(0), 2, jnp.bfloat16).dtype
    dtype(bfloat16)
    """
    # The QR factorisation has no kernel for 16 bits.
    wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
    return jax.nn.initializers.orthogonal()(key, (n, n), wide).astype(dtype)


def check_key(key: Any) -> None:
    """Raise ValueError unless the key is one of `jax.random`."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not (jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32):
        raise ValueError(f"key: expected one of jax.random.key(seed), got {type(key).__name__}")


def check_type(params: Any, expected: type) -> None:
    """Raise ValueError unless the parameters are of the expected architecture."""
    if not isinstance(params, expected):
        names = [f"{t.__module__}.{t.__qualname__}" for t in (expected, type(params))]
        raise ValueError(f"params: expected {names[0]}, got {names[1]}")


def sizes(
    params: NamedTuple, shapes: Shapes, lead: tuple[str, str] = ("W", "U")
) -> tuple[int, jax.ShapeDtypeStruct]:
    """The number of inputs, and the shape (hidden,) and dtype of the state.

    Args:
        params: the parameters of a cell.
        shapes: ``shapes(inputs, hidden)``, the shape each field must have.
        lead: the fields whose first axes are the inputs and the hidden units.

    Raises:
        ValueError: a field has another shape or dtype.
    """
    for name, leaf in zip(params._fields, params, strict=True):
        check.arrays(f"params.{name}", leaf)
        if jnp.result_type(leaf) != jnp.result_type(params[0]):
            expected, got = jnp.result_type(params[0]), jnp.result_type(leaf)
            raise ValueError(
                f"params.{name}: expected {expected}, as params.{params._fields[0]} has, got {got}"
            )
    first = [np.shape(params._asdict()[name])[:1] for name in lead]
    for name, axis in zip(lead, first, strict=True):
        if not axis:
            raise ValueError(f"params.{name}: expected an array with axes, got a scalar")
    inputs, hidden = first[0][0], first[1][0]
    for name, leaf, shape in zip(params._fields, params, shapes(inputs, hidden), strict=True):
        if np.shape(leaf) != shape:
            raise ValueError(f"params.{name}: expected shape {shape}, got {np.shape(leaf)}")
    return inputs, jax.ShapeDtypeStruct((hidden,), jnp.result_type(params[0]))


def start(like: Any, carry: Any = None) -> Any:
    """Zeros, or the given carry, with any batch axes before the last axis.

    Args:
        like: shape and dtype of each leaf without batch axes.
        carry: None, or leaves (..., width).

    Raises:
        ValueError: another structure, or a leaf of another width or dtype.
    """
    if carry is None:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    check.arrays("carry", carry)
    _same_structure(like, carry)
    carry = jax.tree.map(jnp.asarray, carry)
    for name, leaf, given in _leaves(like, carry):
        if given.shape[-1:] != leaf.shape:
            raise ValueError(f"{name}: expected (..., {leaf.shape[0]}), got shape {given.shape}")
        _same_dtype(name, given, leaf.dtype)
    return carry


def check_input(inputs: int, like: Any, carry: Any, x: Any) -> tuple[Any, jax.Array]:
    """The carry and the input as arrays, checked against the widths of the cell.

    Raises:
        ValueError: a width, the batch axes, the structure or a dtype differ.
    """
    check.arrays("x", x)
    check.arrays("carry", carry)
    _same_structure(like, carry)
    if jax.tree.structure(x) != jax.tree.structure(0):
        raise ValueError(f"x: expected one array (..., {inputs}), got {check.describe(x)}")
    carry, x = jax.tree.map(jnp.asarray, (carry, x))
    if x.shape[-1:] != (inputs,):
        raise ValueError(
            f"x: expected (..., {inputs}), the inputs of the cell, got shape {x.shape}"
        )
    for name, leaf, given in _leaves(like, carry):
        expected = x.shape[:-1] + leaf.shape
        if given.shape != expected:
            raise ValueError(
                f"{name}: expected shape {expected}, with the batch axes of x, "
                f"whose shape is {x.shape}, got {given.shape}"
            )
        _same_dtype(name, given, leaf.dtype)
        _same_dtype("x", x, leaf.dtype)
    return carry, x


def affine(x: jax.Array, W: jax.Array, b: jax.Array) -> jax.Array:
    """x W + b for any batch axes of x.

    >>> affine(jnp.ones((2, 1)), jnp.array([[1.0, 2.0]]), jnp.array([0.5, 0.0])).tolist()
    [[1.5, 2.0], [1.5, 2.0]]
    """
    y = product(x, W)
    return y + jnp.broadcast_to(b, y.shape)


# Up to this many terms the derivative of a product uses XLA's kernels for small products, and
# [x, h, 1] times one matrix costs less than two products and a sum. Where columns stay apart
# their zeros are multiplied too, and the limit is half.
SMALL = 32


def gates(
    x: jax.Array,
    h: jax.Array,
    W: jax.Array,
    U: jax.Array,
    b: jax.Array,
    b_apart: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """x W + h U + b; of the last columns, x W + b and h U + b' apart.

    Args:
        x: (..., inputs).
        h: (..., hidden), with the batch axes of x.
        W: (inputs, width).
        U: (hidden, width).
        b: (width,).
        b_apart: b' (apart,), whose length is the number of columns that are not summed.

    Returns:
        The sum (..., width − apart), x W + b (..., apart), h U + b' (..., apart).

    >>> x, h, one = jnp.array([2.0]), jnp.array([3.0]), jnp.ones((1, 2))
    >>> [part.tolist() for part in gates(x, h, one, one, jnp.zeros(2), jnp.ones(1))]
    [[5.0], [2.0], [4.0]]
    """
    (inputs, width), hidden = W.shape, U.shape[0]
    b_apart = jnp.zeros(0, W.dtype) if b_apart is None else b_apart
    columns_apart = b_apart.shape[0]
    n = width - columns_apart
    if inputs + hidden > (SMALL // 2 if columns_apart else SMALL):
        from_x, from_h = affine(x, W, b), product(h, U)
        h_apart = from_h[..., n:]
        h_apart = h_apart + jnp.broadcast_to(b_apart, h_apart.shape)
        return from_x[..., :n] + from_h[..., :n], from_x[..., n:], h_apart
    rows = [
        [W, jnp.zeros((inputs, columns_apart), W.dtype)],
        [U[:, :n], jnp.zeros((hidden, columns_apart), U.dtype), U[:, n:]],
        [b[None], b_apart[None]],
    ]
    joined = jnp.concatenate([jnp.concatenate(row, axis=1) for row in rows])
    one = jnp.ones((*x.shape[:-1], 1), x.dtype)
    y = _small_product(jnp.concatenate([x, h, one], axis=-1), joined)
    return y[..., :n], y[..., n:width], y[..., width:]


def product(x: jax.Array, W: jax.Array) -> jax.Array:
    """x W, with derivatives that stay fast in a loop on a CPU.

    The gradient by W is xᵀ δ. XLA folds the transpose into the product, and its fast kernels
    for small products then do not apply: a barrier keeps the two apart.

    >>> product(jnp.ones((2, 1)), jnp.array([[1.0, 2.0]])).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    return _small_product(x, W) if x.shape[-1] <= SMALL else x @ W


@jax.custom_jvp
def _small_product(x, W):
    return x @ W


def _small_product_jvp(primals, tangents):
    (x, W), (dx, dW) = primals, tangents
    dy = []
    if not isinstance(dx, SymbolicZero):
        dy.append(dx @ W)
    if not isinstance(dW, SymbolicZero):
        dy.append(jnp.tensordot(lax.optimization_barrier(jnp.moveaxis(x, -1, 0)), dW, (0, 0)))
    return x @ W, sum(dy[1:], dy[0])


_small_product.defjvp(_small_product_jvp, symbolic_zeros=True)


def _same_structure(like, carry):
    if jax.tree.structure(like) != jax.tree.structure(carry):
        expected, got = check.describe(like), check.describe(carry)
        raise ValueError(f"carry: expected the structure {expected}, got {got}")


def _same_dtype(name, x, dtype):
    if x.dtype != dtype:
        raise ValueError(f"{name}: expected {dtype}, the dtype of the parameters, got {x.dtype}")


def _leaves(like, carry):
    """The name, the expected and the given value of each leaf."""
    paths = tree_flatten_with_path(like)[0]
    for (path, leaf), given in zip(paths, jax.tree.leaves(carry), strict=True):
        yield f"carry{keystr(path)}", leaf, given
