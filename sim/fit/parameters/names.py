"""Dotted names of parameters and initial states, and of their elements."""

from jax.tree_util import treedef_is_leaf


def index_suffix(index: tuple[int, ...]) -> str:
    """The suffix of an element of an array: "[0, 1]" in a matrix, "" for a scalar.

    >>> index_suffix(()), index_suffix((0, 1))
    ('', '[0, 1]')
    """
    return f"[{', '.join(map(str, index))}]" if index else ""


def state_name(tree, experiment: int, name: str) -> str:
    """The name of a number of the initial state of an experiment.

    Args:
        tree: the structure of the state, of which one number or array has the name "state".
        experiment: its index.
        name: of the number in the state.

    >>> import jax
    >>> state_name(jax.tree.structure(1.0), 0, "state")
    'states[0]'
    >>> state_name(jax.tree.structure({"level": 1.0}), 2, "level")
    'states[2].level'
    """
    suffix = name.removeprefix("state") if treedef_is_leaf(tree) else f".{name}"
    return f"states[{experiment}]{suffix}"


def is_within(leaf: str, name: str) -> bool:
    """Whether a leaf has a dotted name, or belongs to the part of the parameters that has it.

    >>> is_within("A[0]", "A"), is_within("plant.mass", "plant"), is_within("mass", "ma")
    (True, True, False)
    """
    return leaf == name or leaf.startswith((f"{name}.", f"{name}["))
