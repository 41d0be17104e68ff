"""The report of a training: traces, scores, residual tests and findings."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.identification.findings import Message
from experiments.identification.fit_report import FitReport
from experiments.identification.parameters import ParameterEstimates, parameter_estimates
from experiments.identification.prepared import Prepared
from experiments.identification.scoring import (
    data_warnings,
    make_trace,
    published_comparison,
    residual_tests,
    score_records,
)
from experiments.learn.findings import (
    MemberLosses,
    NonFiniteLosses,
    NonFiniteTraining,
    Place,
)
from experiments.learn.training import CONFIG_KEYS, TrainingOptions
from sim.fit.solvers.status import SEARCHING, STUCK


def rank_members(options: TrainingOptions, ensemble: Any) -> list[int]:
    """The members that count, the best first: all finite ones for a mean, else one."""
    ranked = [int(i) for i in np.argsort(ensemble.best) if ensemble.finite[i]]
    return ranked if options.combine == "mean" else ranked[:1]


def best_members(options: TrainingOptions, ensemble: Any) -> list[tuple[Any, list]]:
    """Parameters and initial states of the members that count."""
    import jax

    return [
        jax.tree.map(lambda x, i=i: np.asarray(x)[i], (ensemble.params, list(ensemble.states)))
        for i in rank_members(options, ensemble)
    ]


def evaluate(
    prepared: Prepared, ensemble: Any, losses: np.ndarray, seconds: Mapping[str, float]
) -> FitReport:
    """The report of a `sim.fit.search.ensemble.Ensemble`.

    The tests are read here for the first time, and nothing is chosen by them. A record that
    cannot be scored is a finding, so that the training is not lost.
    """
    options, records = prepared.options, prepared.records
    members, best = best_members(options, ensemble), rank_members(options, ensemble)[0]
    skip = options.warmup if options.states == "fixed" else 0
    traces = []
    for i, record in enumerate(records.training):
        piece = prepared.search.record_index.index(i)
        runs = [(params, states[piece]) for params, states in members]
        simulated, sd = _simulate_members(prepared, record, runs)
        traces.append(make_trace(prepared, record, simulated, skip, sd))

    def score(record):
        runs = [(params, _initial_state(prepared, params, record)) for params, _ in members]
        simulated, sd = _simulate_members(prepared, record, runs)
        return make_trace(prepared, record, simulated, record.known, sd)

    scored, tests, unscored = score_records(records, score, CONFIG_KEYS)
    params, states = members[0]
    loss, validation = losses[:, best].T
    return FitReport(
        prepared.title,
        (*traces, *scored),
        **physics_estimates(prepared, params, states)._asdict(),
        loss=loss,
        tests=residual_tests(traces[0], skip),
        findings=(
            *_training_findings(options, ensemble, losses, best),
            *unscored,
            *data_warnings(prepared),
        ),
        published=published_comparison(prepared, tests),
        seconds=dict(seconds),
        validation=validation if np.isfinite(validation).any() else np.zeros(0),
        weights=_weight_sizes(prepared, params),
    )


def _training_findings(options, ensemble, losses, best):
    """How the training ended, and what is kept of it."""
    search = ensemble.search.search
    # The message of one member is "1 members: 1 converged".
    message = ensemble.message
    yield Message(message if options.members > 1 else message.partition(": 1 ")[2])
    count = int(search.non_finite[best])
    if count:
        yield NonFiniteLosses(count, _last_place(search, best))
    if options.members > 1:
        monitored = losses[:, :, int(np.isfinite(losses[0, :, 1]).any())]
        least = tuple(float(loss) for loss in np.nanmin(monitored, axis=0))
        yield MemberLosses(least, options.combine == "mean")


def non_finite_end(prepared: Prepared, ensemble: Any) -> NonFiniteTraining | None:
    """How a training ended, if it did because the loss of a member stayed non-finite."""
    search, patience = ensemble.search.search, prepared.options.patience
    for i in rank_members(prepared.options, ensemble):
        rejected, non_finite = int(search.rejected[i]), int(search.non_finite[i])
        is_over = int(search.status[i]) == STUCK or rejected >= patience
        if non_finite < rejected or not is_over:
            continue
        # A window is only rejected where it is not finite. A step may be rejected for another
        # reason, which the next one tells.
        place = _last_place(search, i)
        if place or _count_after_one_more(prepared.search, ensemble.search, i) > non_finite:
            return NonFiniteTraining(place, int(search.steps[i]))
    return None


def _count_after_one_more(prepared, state, i):
    """The count of places that were not finite for a member, after one evaluation more."""
    from sim.fit import ensemble

    inner, best = state.search, state.best
    inner = inner._replace(status=np.asarray(inner.status).copy())
    best = best._replace(steps_since=np.asarray(best.steps_since).copy())
    inner.status[i], best.steps_since[i] = SEARCHING, 0
    further = ensemble(
        *prepared.arguments,
        **prepared.settings,
        steps=int(inner.steps[i]) + 1,
        search=state._replace(search=inner, best=best),
    )
    return int(further.search.search.non_finite[i])


def _last_place(search, i):
    """The last place where a training in windows was not finite; None of another search."""
    if search.location is None:
        return None
    return Place(*(int(number) for number in search.location[i]))


def _initial_state(prepared, params, record):
    """The initial state of a record that was not trained on."""
    from sim.fit.search.initial_state import initial_state

    state = prepared.setup.state
    if state is None:
        return None
    return initial_state(prepared.setup.objective, params, record.experiment, record.known, state)


def _simulate_members(prepared, record, runs):
    """The mean over parameters and initial states, and their standard deviation if several."""
    from sim.fit.problem.free_run import free_run

    simulated = np.stack(
        [
            np.asarray(free_run(prepared.setup.objective, params, state, record.experiment), float)
            for params, state in runs
        ]
    )
    return simulated.mean(axis=0), simulated.std(axis=0, ddof=1) if len(runs) > 1 else None


def physics_estimates(prepared: Prepared, params: Any, states: list) -> ParameterEstimates:
    """The parameters of the physics of a hybrid, and their errors; none of a network alone."""
    from sim.fit import fit

    if not is_hybrid(prepared):
        none = np.zeros(0)
        return ParameterEstimates((), (), none, none, none, none, none, np.zeros((0, 0)), ())
    settings = {key: prepared.search.settings[key] for key in ("parameters", "free_states")}
    experiments = prepared.search.arguments[2]
    best = fit(
        prepared.setup.objective, params, experiments, **settings, states=states or None, steps=0
    )
    estimates = parameter_estimates(prepared.setup, best)
    # The states of pieces within a record are of no interest.
    hidden = ("net.", "states[") if len(states) > len(prepared.records.training) else "net."
    estimates = estimates.select(
        [i for i, name in enumerate(estimates.names) if not name.startswith(hidden)]
    )
    if best.uncertainty.covariance is None:  # the unknowns are too many
        searched = [name in best.uncertainty.names for name in estimates.names]
        error = np.where(searched, np.inf, estimates.standard_error)
        estimates = estimates._replace(standard_error=error)
    names = tuple(name.removeprefix("physics.") for name in estimates.names)
    return estimates._replace(
        names=names, at_bound=tuple(n.removeprefix("physics.") for n in estimates.at_bound)
    )


def is_hybrid(prepared: Prepared) -> bool:
    """Whether the network is added to the vector field of a model."""
    return "model" in prepared.config.groups


def _weight_sizes(prepared, params):
    """The count of numbers in each part of the network."""
    import jax
    from jax.tree_util import keystr, tree_flatten_with_path

    net = params.net if is_hybrid(prepared) else params
    leaves = tree_flatten_with_path(jax.tree.map(np.asarray, net))[0]
    return {keystr(path, simple=True, separator="."): leaf.size for path, leaf in leaves}
