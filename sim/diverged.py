"""Divergence of a run: the step, time, variable and member of the first non-finite value."""

import jax
import jax.numpy as jnp
import numpy as np

from sim.names import leaf_names


class Diverged(ArithmeticError):
    """A value of a run is not finite; the records before it are saved.

    Attributes:
        step: the first saved step, counted from 1, whose end is not finite.
        time: the time at its end, t0 + step·dt.
        variable: the name of a variable that is not finite there.
        member: its ensemble member, or None outside an ensemble.
        records: finite records saved since the start of the run.
    """

    def __init__(self, step, time, variable, member, records):
        super().__init__(step, time, variable, member, records)
        self.step, self.time, self.variable = step, time, variable
        self.member, self.records = member, records

    def __str__(self):
        member = "" if self.member is None else f" of member {self.member}"
        return (
            f"diverged: {self.variable}{member} is not finite at step {self.step} "
            f"(t = {self.time:.9g} s); {self.records} finite records are kept"
        )


def first_bad(tree, unnamed, ensemble):
    """(record, variable, member) of the first value that is not finite, or None."""
    findings = []
    for name, y in zip(leaf_names(tree, unnamed), jax.tree.leaves(tree), strict=True):
        if not jnp.issubdtype(y.dtype, jnp.inexact):
            continue
        finite = np.isfinite(y)
        if finite.all():
            continue
        record = int(np.argmin(finite.reshape(len(y), -1).all(axis=1)))
        member = int(np.argwhere(~finite[record])[0][0]) if ensemble and y.ndim > 1 else None
        findings.append((record, name, member))
    return min(findings, key=lambda bad: bad[0], default=None)
