"""A run on another record: its initial state from the first samples, and its outputs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.check import positive
from sim.fit.parameters.constraints import Fixed
from sim.fit.parameters.layout import ParameterLayout, parameter_layout
from sim.fit.problem.errors import DivergenceError
from sim.fit.problem.free_run import _cast_floats
from sim.fit.problem.linearisation import linearise
from sim.fit.problem.objectives import check_simulation
from sim.fit.problem.problem import InitialStates, Problem
from sim.fit.solvers import levenberg_marquardt as lm
from sim.fit.solvers.choose import step
from sim.fit.solvers.status import SEARCHING
from sim.records.experiment import Experiment, column_scale


def initial_state(
    objective,
    params,
    experiment: Experiment,
    n: int,
    guess: Any,
    *,
    steps: int = 50,
    tolerance: float = 1e-9,
) -> Any:
    """argmin_s ½ Σ |y_k − ŷ_k(θ, s)|² over the first n samples, the parameters held.

    So a test record is simulated from its input and its first outputs alone.

    Args:
        objective: a `Simulation`.
        params: parameters of its model.
        experiment: the record; what comes after the first n samples is not looked at.
        n: samples, that of y0 among them where there is one.
        guess: a state to search from.
        steps, tolerance: as `fit` takes them.

    Returns:
        The state, a pytree as the guess.

    Raises:
        ValueError: the n samples are fewer than the numbers of a state or beyond the record,
            or the run from the guess diverges.

    >>> from sim import Stepper
    >>> from sim.fit import Simulation
    >>> decay = Simulation(lambda p: Stepper(jnp.asarray, lambda s, _: 2 * (p * s,)))
    >>> record = Experiment(None, jnp.array([[4.0], [2.0], [7.0]]))
    >>> round(float(initial_state(decay, 0.5, record, 2, 1.0)), 6)
    8.0
    """
    check_simulation(objective, "whose first samples tell its state")
    params, guess, e = _cast_floats(params, guess, experiment)
    ahead = positive("n", n) - (e.y0 is not None)
    if not 0 < ahead <= len(e.y):
        raise ValueError(
            f"n: expected samples of at least one step and of at most {len(e.y)}, got {n}"
        )
    e = Experiment(jax.tree.map(lambda x: x[:ahead], e.xs), e.y[:ahead], e.y0)
    first = jax.tree.map(lambda leaf: leaf[None], (e, guess))
    held, structure = jax.tree.flatten(params)
    shapes, count = tuple(leaf.shape for leaf in held), len(held)
    declared = ParameterLayout(
        structure, ("",) * count, shapes, (Fixed(),) * count, (None,) * count, (0,) * count
    )
    state, z = parameter_layout(guess, state=True)
    states, z = InitialStates(state, True), jnp.asarray(z)
    # Of an output that is missing in all of them nothing is asked.
    y = np.where(np.isnan(np.asarray(e.y)).all(axis=0)[None], 0, np.asarray(e.y))
    weights = jnp.asarray(1 / column_scale(y), z.dtype)
    problem = Problem(
        (first[0],),
        (first[1],),
        params,
        jnp.ones_like(z),
        weights,
        None,
        (None,),
        objective,
        declared,
        states,
        (0,),
    )
    if problem.samples < len(z):
        raise ValueError(
            f"n: expected at least as many samples as the {len(z)} numbers of a "
            f"state, got {problem.samples}"
        )
    search = lm.init(z, linearise(problem, z))
    if not np.isfinite(float(search.linearisation.loss)):
        raise DivergenceError(
            "guess: expected a state from which the first samples stay finite, "
            "got a run that diverges"
        )
    while int(search.steps) < steps and int(search.status) == SEARCHING:
        search = step(problem, search, tolerance)
    return states.unpack(search.z, guess)
