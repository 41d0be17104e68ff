"""Whether inputs say anything of what they drive."""

from collections.abc import Sequence

import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from sim.records.experiment import Experiment, validate_experiments


def constant_inputs(experiments: Experiment | Sequence[Experiment]) -> tuple[str, ...]:
    """In words, the inputs that never change over all experiments.

    Such a record can still be worth a fit, as a free decay is: so these are words, not an
    error.

    Args:
        experiments: one or several; each array of their xs is an input, or several in its
            last axis where it has two.

    >>> constant_inputs(Experiment(np.ones(3), np.zeros((3, 1))))
    ('the input is 1 throughout: the data cannot tell its effect from that of an offset',)
    """
    found = []
    rows = [tree_flatten_with_path(e.xs)[0] for e in validate_experiments(experiments)]
    for leaves in zip(*rows, strict=True):
        path = keystr(leaves[0][0], simple=True, separator=".")
        u = [np.asarray(leaf) for _, leaf in leaves]
        u = np.concatenate([leaf.reshape(len(leaf), int(np.prod(leaf.shape[1:]))) for leaf in u])
        for k in np.flatnonzero((u == u[:1]).all(axis=0)):
            which = f" {path}" * bool(path) + f" {k}" * (u.shape[1] > 1)
            found.append(
                f"the input{which} is {u[0, k]:g} throughout: the data cannot tell its "
                "effect from that of an offset"
            )
    return tuple(found)
