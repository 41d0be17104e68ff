"""A fit as a function of one vector z: the parameters first, then the initial states.

Experiments of one length lie side by side and share a compiled run.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass

from sim.fit.parameters.layout import ParameterLayout
from sim.fit.parameters.vector import prior_residuals, to_parameters
from sim.fit.problem.objectives import Objective
from sim.records.experiment import Experiment


class InitialStates(NamedTuple):
    """How numbers of z make the initial state of an experiment; static.

    Attributes:
        layout: of the numbers of one state.
        free: whether a search moves them.
    """

    layout: ParameterLayout
    free: bool

    @property
    def size(self) -> int:
        """m, how many numbers of z belong to one state."""
        return sum(self.layout.sizes) if self.free else 0

    def unpack(self, s, given):
        """The initial state: from its numbers s (m,) if it is free, else as given."""
        return to_parameters(self.layout, s, given) if self.free else given

    def prior_rows(self, x0) -> list:
        """Residuals of the priors of one initial state."""
        return prior_residuals(self.layout, x0) if self.free else []


@register_dataclass
@dataclass(frozen=True)
class Problem:
    """What a search evaluates.

    Attributes:
        groups: experiments of one length each, stacked along a first axis.
        initial_states: their initial states as given, stacked the same way.
        start: the parameters at the start, for those that are fixed.
        unit: (len(z),), the unit of each number of z, parameters first.
        weights: (outputs,), by which an error in the unit of y is multiplied.
        join: (m,), weights of the numbers of a state in the gap between the end of one
            experiment and the start of the next; None if experiments do not continue each other.
        joined: for each group, which experiments (E,) are continued by the next one.
        objective: an `Objective`; static.
        layout: how z makes the parameters; static.
        states: how z makes the initial states; static.
        order: for each place in the groups, the index of the user's experiment; static.
    """

    groups: tuple[Experiment, ...]
    initial_states: tuple[Any, ...]
    start: Any
    unit: Any
    weights: Any
    join: Any
    joined: tuple[Any, ...]
    objective: Objective = field(metadata={"static": True})
    layout: ParameterLayout = field(metadata={"static": True})
    states: InitialStates = field(metadata={"static": True})
    order: tuple[int, ...] = field(metadata={"static": True})

    @property
    def parameter_count(self) -> int:
        """n, how many numbers of z belong to the parameters."""
        return sum(self.layout.sizes)

    def split_vector(self, z):
        """z as the parameters' numbers (n,), and for each group those of its states (E, m), in
        their own units."""
        n, m, states = self.parameter_count, self.states.size, []
        first = n
        for group in self.groups:
            count = len(group.y)
            numbers = slice(first, first + count * m)
            states.append((self.unit[numbers] * z[numbers]).reshape(count, m))
            first += count * m
        return z[:n], states

    def parameters(self, theta):
        """The parameters as the model takes them, from their numbers theta (n,)."""
        return to_parameters(self.layout, self.unit[: len(theta)] * theta, self.start)

    @jax.jit
    def unpack(self, z):
        """Parameters, and the initial states of each group, stacked along a first axis."""
        theta, states = self.split_vector(z)
        pairs = zip(states, self.initial_states, strict=True)
        return self.parameters(theta), [jax.vmap(self.states.unpack)(*pair) for pair in pairs]

    def per_experiment(self, z):
        """Parameters, and (initial state, record) of each experiment in the user's order."""
        p, states = self.unpack(z)
        # NumPy takes them apart: a compiled program would have an output for each experiment.
        groups = [to_host(pair) for pair in zip(states, self.groups, strict=True)]
        pairs = self.in_user_order(groups)
        return p, [(jax.tree.map(jnp.asarray, x0), e) for x0, e in pairs]

    def in_user_order(self, groups) -> list:
        """One entry for each of the user's experiments, from groups stacked along a first axis."""
        entries, places = [None] * len(self.order), iter(self.order)
        for records, group in zip(self.groups, groups, strict=True):
            for i in range(len(records.y)):
                entries[next(places)] = jax.tree.map(lambda leaf, i=i: leaf[i], group)
        return entries

    @property
    def samples(self) -> int:
        """How many numbers were observed."""
        observed = [(group.y, group.y0) for group in self.groups]
        return sum(int(np.isfinite(np.asarray(y)).sum()) for y in jax.tree.leaves(observed))

    @property
    def prior_count(self) -> int:
        """How many numbers have a prior."""
        states = _count_priors(self.states.layout) * len(self.order) if self.states.free else 0
        return _count_priors(self.layout) + states

    @property
    def unknowns(self) -> int:
        """How many numbers are free; a state that continues another experiment is not."""
        starts = sum(len(group.y) for group in self.groups)
        if self.join is not None:
            starts -= sum(int(np.sum(joined)) for joined in self.joined)
        return self.parameter_count + self.states.size * starts

    def with_weights(self, weights=None, join=None):
        """The same problem with other weights of the outputs, or of the gaps."""
        return replace(
            self,
            weights=self.weights if weights is None else weights,
            join=self.join if join is None else join,
        )


def _count_priors(layout):
    pairs = zip(layout.shapes, layout.priors, strict=True)
    return sum(int(np.prod(shape)) for shape, prior in pairs if prior is not None)


def to_host(tree):
    """Arrays as those of NumPy, except keys of random numbers, which NumPy does not know."""

    def convert(leaf):
        return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.extended) else np.asarray(leaf)

    return jax.tree.map(convert, tree)
