"""The initial state of another record, from its first samples."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.check import positive
from sim.fit.parameters.constraints import Fixed
from sim.fit.parameters.layout import ParameterLayout, parameter_layout
from sim.fit.problem.errors import DivergenceError
from sim.fit.problem.free_run import cast_floats
from sim.fit.problem.objectives import check_simulation
from sim.fit.problem.problem import InitialStates, Problem
from sim.fit.solvers.levenberg_marquardt import LevenbergMarquardt, minimise
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
    """argmin_s ½ Σ |y_k − ŷ_k(θ, s)|² over the first n samples, with the parameters fixed.

    With it a test record is simulated from its input and its first outputs alone.

    Args:
        objective: a `Simulation`.
        params: parameters of its model.
        experiment: the record; samples after the first n are ignored.
        n: samples, including y0 if there is one.
        guess: a state to search from.
        steps, tolerance: as `fit` takes them.

    Returns:
        The state, a pytree as the guess.

    Raises:
        DivergenceError: the run from the guess diverges.
        ValueError: the n samples are fewer than the numbers of a state, or beyond the record.

    >>> from sim import Stepper
    >>> from sim.fit import Simulation
    >>> decay = Simulation(lambda p: Stepper(jnp.asarray, lambda s, _: 2 * (p * s,)))
    >>> record = Experiment(None, jnp.array([[4.0], [2.0], [7.0]]))
    >>> round(float(initial_state(decay, 0.5, record, 2, 1.0)), 6)
    8.0
    """
    check_simulation(objective, "whose first samples tell its state")
    params, guess, e = cast_floats(params, guess, experiment)
    steps_ahead = positive("n", n) - (e.y0 is not None)
    if not 0 < steps_ahead <= len(e.y):
        raise ValueError(
            f"n: expected samples of at least one step and of at most {len(e.y)}, got {n}"
        )
    first = Experiment(jax.tree.map(lambda x: x[:steps_ahead], e.xs), e.y[:steps_ahead], e.y0)
    problem, z = _state_problem(objective, params, guess, first)
    if problem.samples < len(z):
        raise ValueError(
            f"n: expected at least as many samples as the {len(z)} numbers of a "
            f"state, got {problem.samples}"
        )
    solver = LevenbergMarquardt()
    state = solver.init(problem, z)
    if not np.isfinite(float(solver.loss(state))):
        raise DivergenceError(
            "guess: expected a state from which the first samples stay finite, "
            "got a run that diverges"
        )
    state = minimise(solver, problem, state, steps, tolerance)
    return problem.states.unpack(state.z, guess)


def _state_problem(objective, params, guess, e: Experiment):
    """The problem with the initial state alone unknown, and z at the guess."""
    leaves, structure = jax.tree.flatten(params)
    count = len(leaves)
    layout = ParameterLayout(
        structure,
        ("",) * count,
        tuple(leaf.shape for leaf in leaves),
        (Fixed(),) * count,
        (None,) * count,
        (0,) * count,
    )
    state_layout, z = parameter_layout(guess, state=True)
    z = jnp.asarray(z)
    # An output that is missing in all samples needs no scale.
    y = np.where(np.isnan(np.asarray(e.y)).all(axis=0)[None], 0, np.asarray(e.y))
    group, guesses = jax.tree.map(lambda leaf: leaf[None], (e, guess))
    problem = Problem(
        groups=(group,),
        initial_states=(guesses,),
        start=params,
        unit=jnp.ones_like(z),
        weights=jnp.asarray(1 / column_scale(y), z.dtype),
        join=None,
        joined=(None,),
        objective=objective,
        layout=layout,
        states=InitialStates(state_layout, True),
        order=(0,),
    )
    return problem, z
