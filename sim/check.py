"""Static mistakes in a rollout, named before XLA sees them."""

from operator import is_

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path


def function(name, f):
    """Raise ValueError unless f is callable."""
    if not callable(f):
        raise ValueError(f"{name}: expected a function, got {type(f).__name__}")


def real(name, x):
    """Raise ValueError unless x is a real number or array."""
    if not isinstance(x, jax.Array | np.ndarray | np.generic | int | float) or jnp.iscomplexobj(x):
        raise ValueError(f"{name}: expected a real number, got {x!r}")


def arrays(name, tree):
    """Raise ValueError unless every leaf of the tree is an array or a number."""
    for path, leaf in tree_flatten_with_path(tree)[0]:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            raise ValueError(
                f"{name}{keystr(path)}: expected an array or a number, got {type(leaf).__name__}"
            )


def positive(name, n):
    """n as an int; ValueError unless it is an integer of at least 1."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {n!r}")
    return int(n)


def unroll(n):
    """The argument ``unroll`` of `lax.scan`: a bool, or an int of at least 1."""
    return n if isinstance(n, bool) else positive("unroll", n)


def scan_length(xs, length):
    """The number of steps; ValueError unless the leading axes of xs and length agree on it."""
    if length is not None and (
        isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 0
    ):
        raise ValueError(f"length: expected an integer of at least 0, got {length!r}")
    leaves = [(f"xs{keystr(path)}", np.shape(x)) for path, x in tree_flatten_with_path(xs)[0]]
    if not leaves:
        if length is None:
            raise ValueError(
                "length: expected a number of steps, because xs is None or empty; got None"
            )
        return int(length)
    for name, shape in leaves:
        if not shape:
            raise ValueError(f"{name}: expected a leading axis (time), got a scalar")
    lengths = {name: shape[0] for name, shape in leaves}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise ValueError(f"xs: expected leading axes of one length, got: {listed}")
    steps = leaves[0][1][0]
    if length is not None and length != steps:
        raise ValueError(f"length: expected {steps}, the leading axis of xs, got {length}")
    return steps


def concrete_carry(step, carry, xs):
    """The carry with concrete dtypes: a weak type would be traced a second time.

    A weak leaf (a Python number) takes the dtype that the step gives it, as in
    `lax.scan`.
    """
    arrays("carry", carry)
    carry = jax.tree.map(jnp.asarray, carry)
    # One weak leaf may take its dtype from another that has just been given one.
    while any(map(_weak, jax.tree.leaves(carry))):
        x = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x)[1:], jnp.result_type(x)), xs)
        after, _ = pair(jax.eval_shape(step, carry, x))
        if jax.tree.structure(after) != jax.tree.structure(carry):
            break
        weak, carry = carry, jax.tree.map(_settle_dtype, carry, after)
        if all(map(is_, jax.tree.leaves(weak), jax.tree.leaves(carry))):
            break
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), carry)


def _weak(leaf):
    # The keys of `jax.random.key` are arrays without a weak type.
    return getattr(leaf, "weak_type", False)


def _settle_dtype(leaf, after):
    if _weak(leaf) and not _weak(after):
        return jnp.asarray(leaf, jnp.result_type(leaf, after))
    return leaf


def pair(returned):
    """What a step returned; ValueError unless it is the pair (carry, y)."""
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise ValueError(
            f"step: expected it to return the pair (carry, y), got {describe(returned)}"
        )
    return returned


def check_step(step):
    """The step, which then compares its new carry with the old one while it is traced."""

    def checked_step(carry, x):
        returned = step(carry, x)
        same_carry(carry, pair(returned)[0])
        return returned

    return checked_step


def same_carry(old, new):
    """Raise ValueError unless the new carry has the structure, shapes and dtypes of the old."""
    if jax.tree.structure(old) != jax.tree.structure(new):
        raise ValueError(
            "step: expected it to keep the structure of the carry, "
            f"{describe(old)}, got {describe(new)}"
        )
    mistakes = [
        f"carry{keystr(path)}: expected {aval(a)}, got {aval(b)}"
        for (path, a), b in zip(tree_flatten_with_path(old)[0], jax.tree.leaves(new), strict=True)
        if aval(a) != aval(b)
    ]
    if mistakes:
        raise ValueError("step: the carry changes; " + "; ".join(mistakes))


def aval(x):
    """Dtype and shape of an array, as in ``float64[3,2]``."""
    return f"{jnp.result_type(x)}[{','.join(map(str, np.shape(x)))}]"


def describe(tree):
    """The structure of a pytree, for messages."""
    return str(jax.tree.structure(tree)).removeprefix("PyTreeDef(").removesuffix(")")
