"""Multiple shooting: segments of a record, each from its own state, that are drawn together."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from sim.fit.parameters.layout import parameter_layout
from sim.fit.parameters.vector import clip_to_start
from sim.fit.problem.assemble import build_problem
from sim.fit.problem.errors import divergence_error
from sim.fit.problem.linearisation import linearise
from sim.fit.problem.objectives import check_simulation
from sim.fit.problem.problem import Problem
from sim.fit.result import Fit, SearchState
from sim.fit.search.conclude import build_fit
from sim.fit.search.fit import fit, start_search
from sim.fit.search.segments import build_segments, join_segments, largest_gap, state_scale
from sim.fit.solvers import levenberg_marquardt as lm
from sim.messages import join_names
from sim.records.experiment import Experiment

SOLVER = lm.LevenbergMarquardt()
MET = 1e-6  # segments meet if no gap is above this share of a state's spread
HEAVIEST = 1e6  # beyond this weight a triangle has no digits left for the data
ROUGH = 1e-4  # tolerance of all rounds but the last
# One simulation follows the segments if its loss is not above theirs by more than rounding.
FOLLOWS = 1.01


def shoot(
    objective,
    start: Any,
    experiments: Experiment | Sequence[Experiment],
    segments: int,
    *,
    states: Any,
    parameters: Mapping[str, Any] | None = None,
    state_kinds: Mapping[str, Any] | None = None,
    weight: float | None = None,
    between: Callable | Any = None,
    steps: int = 200,
    tolerance: float = 1e-9,
    report: Callable[[int, float], Any] | None = None,
) -> Fit:
    """Parameters from records too long, or too chaotic, to be simulated from a wrong start.

        min_{θ, s} ½ Σ_i Σ_k |W (y_ik − ŷ_ik(θ, s_i))|² + ½ Σ_i |w (end_i(θ, s_i) − s_{i+1}) / σ|²

    Over a short segment even a wrong model stays near the record, and the loss has fewer
    minima. As a penalty, w grows tenfold up to the given ``weight``; as a constraint, until
    the segments meet, and a last search makes them one simulation from one initial state.

    Args:
        objective, start, experiments, parameters, steps, tolerance, report: as `fit` takes
            them; the ``final`` of the objective gives the state after a segment. A
            stepper's time begins at 0 in every segment: what depends on it enters by xs.
        segments: how many of the longest experiment; others are cut to the same length.
        states: the initial state, for all experiments or a list with one for each.
        state_kinds: as `fit` takes them, for the last search of one simulation; only with
            the constraint. The states in which segments start are free.
        weight: w of a penalty, in errors of one spread of an output for a gap of one spread
            σ of a state; None for the constraint.
        between: the states in which the search begins the segments. None takes them from a
            run with the start's parameters, or the initial state where that run is not
            finite. A function makes a state of the outputs (outputs,) last seen at that
            instant. Or measured or smoothed states after each step, with the leading axis N;
            a list of them for several experiments.

    Returns:
        A `Fit`. Of the constraint, that of one simulation; where the model is too chaotic
        for one to follow the record, as of a penalty, that of the segments, and the message
        says so. Then too ``states`` are those of the experiments; those of all segments
        are in ``problem.per_experiment(z)``.

    Raises:
        ValueError: as `fit` does; or there is no state, fewer steps than segments, or an
            objective that is no simulation.

    Reference: H. G. Bock, "Recent advances in parameter identification techniques for
    O.D.E.", in *Numerical Treatment of Inverse Problems in Differential and Integral
    Equations*, Birkhäuser 1983.

    >>> from sim import Stepper, rollout
    >>> from sim.fit import Simulation
    >>> def model(p):   # s' = a s (1 − s): chaotic
    ...     return Stepper(jnp.asarray, lambda s, _: 2 * (p["a"] * s * (1 - s),))
    >>> y = rollout(model({"a": 3.8}).step, jnp.asarray(0.3), length=24)[1][:, None]
    >>> found = shoot(Simulation(model), {"a": 3.6}, Experiment(None, y), 12, states=0.3,
    ...               between=lambda y: y[0])
    >>> round(float(found.params["a"]), 6)
    3.8
    """
    check_simulation(objective, "to shoot with")
    if weight is not None and not weight > 0:
        raise ValueError(f"weight: expected a number above 0, or None, got {weight}")
    if weight is not None and state_kinds:
        raise ValueError(
            "state_kinds: expected none beside the weight of a penalty, whose segments "
            f"all start freely, got {join_names(state_kinds)}"
        )
    whole, begin = build_problem(objective, start, experiments, parameters, states)
    if not whole.states.free:
        raise ValueError("states: expected an initial state to shoot from, got None")
    constrained = state_kinds and build_problem(
        objective, start, experiments, parameters, states, state_kinds=state_kinds
    )
    problem, z, first = build_segments(whole, begin, start, parameters, segments, between)
    scale, losses, state = state_scale(problem, z), [], None
    search_round = partial(_search_round, whole, begin, losses=losses, report=report)
    # A heavy weight from the start would hold the search to where the segments meet at once.
    heaviest = weight or HEAVIEST
    w = min(1.0, heaviest)
    while True:
        problem = problem.with_weights(join=w / scale)
        rough = tolerance if w == weight else max(tolerance, ROUGH)
        state = search_round(problem, z, state, steps=steps, tolerance=rough)
        z, done, gap = state.z, int(state.steps), largest_gap(problem, state.z, scale)
        if w >= heaviest or done >= steps or (not weight and gap <= MET):
            break
        w = min(10 * w, heaviest)
    message = (
        f"{len(problem.order)} segments meet within {gap:.1g} of the states' spread, weight {w:g}"
    )
    if not weight:
        arguments = objective, start, experiments
        options = {
            "parameters": parameters,
            "states": states,
            "steps": steps,
            "tolerance": tolerance,
            "report": report,
        }
        z = join_segments(whole, problem, state.z, first)
        one = _fit_one_simulation(whole, z, arguments, options, FOLLOWS * losses[-1])
        if one is not None:
            if constrained:
                z = _apply_constraints(*constrained, one, state_kinds)
                one = _fit_from(
                    constrained[0], z, arguments, {**options, "state_kinds": state_kinds}
                )
            message += f", after {done} evaluations; as one simulation {one.message}"
            return one._replace(message=message)
        message += "; no one simulation follows them, so they stay apart"
        state = search_round(problem, state.z, state, steps=done + steps, tolerance=tolerance)
    segmented = build_fit(problem, SearchState(state, problem.weights, 0), losses)
    return segmented._replace(
        states=tuple(segmented.states[i] for i in first), message=f"{message}; {segmented.message}"
    )


def _search_round(
    whole: Problem, begin, problem, z, before, *, steps, tolerance, losses, report
) -> lm.State:
    """The state at the end of a round, after that of the round before; losses are appended.

    Args:
        whole, begin: the uncut problem and its z at the start, for an error.
    """
    state = SOLVER.init(problem, z)
    if not np.isfinite(float(SOLVER.loss(state))):
        raise divergence_error(
            whole,
            begin,
            "start: expected parameters and states from which all "
            "segments stay finite, got a run that diverges",
        )
    if before is not None:
        # The joins are the most of the scale, which damping is a share of: it stays the same.
        damping = before.damping * jnp.min(before.scale / state.scale) ** 2
        state = state._replace(steps=before.steps, non_finite=before.non_finite, damping=damping)
    losses.append(float(SOLVER.loss(state)))

    def on_step(state):
        losses.append(float(SOLVER.loss(state)))
        if report is not None:
            report(int(state.steps), losses[-1])

    return lm.minimise(SOLVER, problem, state, steps, tolerance, on_step)


def _fit_one_simulation(whole: Problem, z, arguments, options, largest_loss) -> Fit | None:
    """The fit of the uncut experiments from z, unless its loss ends above the largest."""
    if not np.isfinite(float(linearise(whole, z).loss)):
        return None
    one = _fit_from(whole, z, arguments, options)
    follows = float(linearise(whole, one.minimum).loss) <= largest_loss
    return one if follows else None


def _fit_from(problem: Problem, z, arguments, options) -> Fit:
    """The fit that begins at z of its problem."""
    return fit(*arguments, search=start_search(SOLVER, problem, None, z, 0), **options)


def _apply_constraints(constrained: Problem, start, free: Fit, kinds):
    """z of the same experiments with constraints on the states, from a fit with free ones."""
    n, given = constrained.parameter_count, constrained.per_experiment(start)[1]
    states = [jnp.zeros(0, start.dtype)]
    for i in constrained.order if constrained.states.free else ():
        state = clip_to_start(constrained.states.layout, free.states[i], given[i][0])
        states.append(jnp.asarray(parameter_layout(state, kinds, state=True)[1], start.dtype))
    return jnp.concatenate([free.minimum[:n], jnp.concatenate(states) / constrained.unit[n:]])
