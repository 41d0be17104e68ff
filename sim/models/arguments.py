"""Parameters and initial states from a user, checked and converted to floats and arrays."""

from typing import Any

import jax
import jax.numpy as jnp


def as_named_tuple(name: str, given: Any, kind: type, **shapes: tuple[tuple[int, ...], ...]) -> Any:
    """The NamedTuple ``given``, each field a float or a floating array.

    Args:
        name: of the argument, for the messages.
        given: a ``kind`` of numbers, lists of numbers or arrays.
        kind: the NamedTuple class expected.
        shapes: for each field that is not a scalar, the shapes it may have.

    Raises:
        ValueError: another type, or a field that is no number or has another shape.

    >>> from sim.models.lorenz import State
    >>> as_named_tuple("initial", State(1, 2.0, 3.0), State)
    State(x=1.0, y=2.0, z=3.0)
    """
    if not isinstance(given, kind):
        raise ValueError(f"{name}: expected {_dotted_path(kind)}, got {_dotted_path(type(given))}")
    return kind(
        *(
            number(f"{name}.{field}", value, *shapes.get(field, ((),)))
            for field, value in zip(given._fields, given, strict=True)
        )
    )


def number(name: str, value: Any, *shapes: tuple[int, ...]) -> Any:
    """A float where a Python number is given, else a floating array of one of the shapes."""
    expected = " or ".join(f"an array of shape {s}" if s else "a number" for s in shapes)
    array = as_float_array(name, value, expected)
    if array.shape not in shapes:
        got = repr(value) if array.ndim == 0 else f"shape {array.shape}"
        raise ValueError(f"{name}: expected {expected}, got {got}")
    # A Python number stays one, so that it takes the precision of what it meets.
    return float(value) if isinstance(value, int | float) else array


def as_float_array(name: str, value: Any, expected: str) -> jnp.ndarray:
    """The value as a floating array; integers become floats, ValueError for anything else."""
    try:
        # JAX reads a string as the name of a dtype.
        if any(isinstance(leaf, str) for leaf in jax.tree.leaves(value)):
            raise TypeError
        array = jnp.asarray(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected {expected}, got {value!r}") from None
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    if jnp.issubdtype(array.dtype, jnp.integer):
        return array.astype(float)
    raise ValueError(f"{name}: expected {expected}, got {value!r}")


def _dotted_path(kind):
    return f"{kind.__module__}.{kind.__name__}".removeprefix("builtins.")
