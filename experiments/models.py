"""What several tasks do with a `sim.models.Model`."""

from typing import Any

import numpy as np


def at_zero_input(model: Any) -> Any:
    """The model without inputs: they are held at zero."""
    from jax.tree_util import Partial

    count = len(model.inputs)
    zero = np.zeros(count if count > 1 else ())
    output = model.output and Partial(_at_zero, model.output, zero)
    return model._replace(field=Partial(_at_zero, model.field, zero), inputs=(), output=output)


def _at_zero(function, zero, t, y, u):
    import jax
    import jax.numpy as jnp

    return function(t, y, jnp.asarray(zero, jnp.result_type(*jax.tree.leaves(y))))


def state_sizes(model: Any) -> dict[str, int]:
    """The number of components of every state."""
    import jax

    from sim.names import leaf_names

    sizes = map(np.size, jax.tree.leaves(model.initial))
    return dict(zip(leaf_names(model.initial), sizes, strict=True))


def same_pytrees(a, b) -> bool:
    """Whether two pytrees have the same structure and equal leaves."""
    import jax

    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)
