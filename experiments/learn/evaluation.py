"""From trained members to what is kept of them: traces, scores, and words."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.identification.result_file import PARAMETER_COLUMNS, FitReport
from experiments.identification.scoring import (
    data_warnings,
    make_trace,
    published_comparison,
    residual_tests,
    to_report,
)
from experiments.learn.training import TrainedMembers, reword_error
from sim.fit.solvers.status import SEARCHING, STUCK


def rank_members(how: Any, ended: TrainedMembers) -> list[int]:
    """The members that count, the best first."""
    best = [int(i) for i in np.argsort(ended.found.best) if ended.found.finite[i]]
    return best if how.combine == "mean" else best[:1]


def best_members(how: Any, ended: TrainedMembers) -> list[tuple[Any, list]]:
    """Parameters and initial states of those that count."""
    import jax

    found = ended.found
    return [
        jax.tree.map(lambda x, i=i: np.asarray(x)[i], (found.params, list(found.states)))
        for i in rank_members(how, ended)
    ]


def evaluate(task: Any, ended: TrainedMembers, seconds: Mapping[str, float]) -> FitReport:
    """Everything that is kept; the tests are opened here, once, and nothing is chosen by them.

    A record that cannot be scored is a finding: the training is not lost with it.
    """
    data, how = task.data, task.learning
    each, first = best_members(how, ended), rank_members(how, ended)[0]
    params, states = each[0]
    traces, tests, said = [], [], list(_findings(how, ended, first))
    skip = how.warmup if how.states == "fixed" else 0
    for i, sampled in enumerate(data.training):
        place = task.of.index(i)
        simulated, sd = _simulate_members(task, sampled, [(p, x0[place]) for p, x0 in each])
        traces.append(make_trace(task, sampled, simulated, skip, sd))
    for sampled in (*data.validation, *data.tests):
        part, test = sampled.part, sampled.y.shape[1] == 0
        try:
            sampled = data.opened(sampled) if test else sampled
            simulated, sd = _simulate_members(
                task, sampled, [(p, _initial_state(task, p, sampled)) for p, _ in each]
            )
            traces.append(make_trace(task, sampled, simulated, part.known, sd))
            tests += [traces[-1]] if test else []
        except (OSError, ValueError) as error:
            said.append(f"{part.name} was not scored: {reword_error(error)}")
    checks = residual_tests(traces[0], skip)
    rows, said = published_comparison(data, tests), [*said, *data_warnings(task)]
    if task.hybrid:
        found = _physics_report(
            task,
            params,
            states,
            lambda fit: to_report(task, fit, traces, checks, said, seconds, rows),
        )
    else:
        none = np.zeros(0)
        found = FitReport(
            task.title,
            tuple(traces),
            (),
            (),
            *[none] * len(PARAMETER_COLUMNS),
            np.zeros((0, 0)),
            none,
            dict(checks),
            tuple(said),
            rows,
            dict(seconds),
        )
    loss, seen = ended.losses[:, first].T
    return found._replace(
        loss=loss,
        validation=seen if np.isfinite(seen).any() else np.zeros(0),
        weights=_weight_sizes(task, params),
    )


def _findings(how, ended, first):
    """How the training ended, and what of it is kept."""
    found, search = ended.found, ended.found.search.search
    yield re.sub("^1 members?: 1 ", "", found.message)
    bad = int(search.non_finite[first])
    if bad:
        where = f", last{_where(search, first)}" if search.location is not None else ""
        yield (
            f"the loss was not finite in {bad} place{'s' * (bad > 1)}{where}: they were left, and the best "
            "weights are kept"
        )
    if how.members > 1:
        own = ended.losses[:, :, int(np.isfinite(ended.losses[0, :, 1]).any())]
        best = ", ".join(f"{x:.4g}" for x in np.nanmin(own, axis=0))
        words = "the best is kept"
        if how.combine == "mean":
            words = "the mean of all is scored, and its band is of their spread; what else is told is of the best"
        yield f"the least losses of the members are {best}: {words}"


def non_finite_message(task: Any, ended: TrainedMembers) -> str:
    """Where a training ended because its loss was no longer finite, in words; else empty."""
    search, patience = ended.found.search.search, task.learning.patience
    for i in rank_members(task.learning, ended):
        turns, bad = int(search.rejected[i]), int(search.non_finite[i])
        if bad < turns or not (int(search.status[i]) == STUCK or turns >= patience):
            continue
        # Windows are refused for one reason alone; whether a step was, its next one tells.
        if (
            search.location is not None
            or _count_after_one_more(task.begun, ended.found.search, i) > bad
        ):
            at = _where(search, i) or f" in evaluation {int(search.steps[i])}"
            return f"the loss turned non-finite, last{at}, and stayed so: the best weights before are kept"
    return ""


def _count_after_one_more(problem, search, i):
    """How many places of a member were not finite after one evaluation more."""
    from sim.fit import ensemble

    inner, best = search.search, search.best
    inner = inner._replace(status=np.asarray(inner.status).copy())
    best = best._replace(steps_since=np.asarray(best.steps_since).copy())
    inner.status[i], best.steps_since[i] = SEARCHING, 0
    found = ensemble(
        *problem.arguments,
        **problem.settings,
        steps=int(inner.steps[i]) + 1,
        search=search._replace(search=inner, best=best),
    )
    return int(found.search.search.non_finite[i])


def _where(search, i):
    """Where a training in windows, of which 0 is a pass as a whole, last was not finite."""
    if search.location is None:
        return ""
    step, window = (int(x) for x in search.location[i])
    return f" in pass {step}" + (f", window {window}" if window else "")


def _initial_state(task, params, sampled):
    """The initial state of a record that was not trained on."""
    from sim.fit.search.initial_state import initial_state

    if task.state is None:
        return None
    e = task.experiment(sampled)
    return initial_state(task.objective, params, e, sampled.part.known, task.state)


def _simulate_members(task, sampled, each):
    """The mean over parameters and initial states, and the standard deviation of several."""
    from sim.fit.problem.free_run import free_run

    e = task.experiment(sampled)
    runs = np.stack([np.asarray(free_run(task.objective, p, x0, e), float) for p, x0 in each])
    return runs.mean(axis=0), runs.std(axis=0, ddof=1) if len(runs) > 1 else None


def _physics_report(task, params, states, table):
    """Of all parameters those of the model, under their own names, and how far to trust them."""
    from sim.fit import fit

    problem = task.begun
    known = {name: problem.settings[name] for name in ("parameters", "free_states")}
    free = {"states": list(states)} if states else {"states": None}
    one = fit(task.objective, params, problem.arguments[2], **known, **free, steps=0)
    found = table(one)
    left_out = (
        ("net.", "states[") if len(states) > len(task.data.training) else "net."
    )  # or of every piece
    at = [i for i, name in enumerate(found.names) if not name.startswith(left_out)]
    error = found.standard_error[at]
    if one.uncertainty.covariance is None:  # it was not asked for
        error = np.where([found.names[i] in one.uncertainty.names for i in at], np.inf, error)
    columns = {name: getattr(found, name)[at] for name in PARAMETER_COLUMNS} | {
        "standard_error": error
    }
    return found._replace(
        names=tuple(found.names[i].removeprefix("physics.") for i in at),
        units=tuple(found.units[i] for i in at),
        covariance=found.covariance[np.ix_(at, at)],
        **columns,
    )


def _weight_sizes(task, params):
    """How many numbers each part of the network has."""
    import jax
    from jax.tree_util import keystr, tree_flatten_with_path

    net = params.net if task.hybrid else params
    leaves = tree_flatten_with_path(jax.tree.map(np.asarray, net))[0]
    return {keystr(path, simple=True, separator="."): leaf.size for path, leaf in leaves}
