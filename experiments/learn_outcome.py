"""From trained members to what is kept of them: traces, scores, and words."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.fitted import PARAMETER, Fitted
from experiments.learn_search import Trained, in_words
from experiments.outcome import beside, fitted, remarks, residual_tests, trace
from sim.fit.least_squares import SEARCHING, STUCK


def order(how: Any, ended: Trained) -> list[int]:
    """The members that count, the best first."""
    best = [int(i) for i in np.argsort(ended.found.best) if ended.found.finite[i]]
    return best if how.combine == "mean" else best[:1]


def members(how: Any, ended: Trained) -> list[tuple[Any, list]]:
    """Parameters and initial states of those that count."""
    import jax

    found = ended.found
    return [
        jax.tree.map(lambda x, i=i: np.asarray(x)[i], (found.params, list(found.states)))
        for i in order(how, ended)
    ]


def concluded(task: Any, ended: Trained, seconds: Mapping[str, float]) -> Fitted:
    """Everything that is kept; the tests are opened here, once, and nothing is chosen by them.

    A record that cannot be scored is a finding: the training is not lost with it.
    """
    data, how = task.data, task.learning
    each, first = members(how, ended), order(how, ended)[0]
    params, states = each[0]
    traces, tests, said = [], [], list(_words(how, ended, first))
    skip = how.warmup if how.states == "fixed" else 0
    for i, sampled in enumerate(data.training):
        place = task.of.index(i)
        simulated, sd = _simulated(task, sampled, [(p, x0[place]) for p, x0 in each])
        traces.append(trace(task, sampled, simulated, skip, sd))
    for sampled in (*data.validation, *data.tests):
        part, test = sampled.part, sampled.y.shape[1] == 0
        try:
            sampled = data.opened(sampled) if test else sampled
            simulated, sd = _simulated(
                task, sampled, [(p, _begin(task, p, sampled)) for p, _ in each]
            )
            traces.append(trace(task, sampled, simulated, part.known, sd))
            tests += [traces[-1]] if test else []
        except (OSError, ValueError) as error:
            said.append(f"{part.name} was not scored: {in_words(error)}")
    checks = residual_tests(traces[0], skip)
    rows, said = beside(data, tests), [*said, *remarks(task)]
    if task.hybrid:
        found = _physics(
            task, params, states, lambda fit: fitted(task, fit, traces, checks, said, seconds, rows)
        )
    else:
        none = np.zeros(0)
        found = Fitted(
            task.title,
            tuple(traces),
            (),
            (),
            *[none] * len(PARAMETER),
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
        weights=_weights(task, params),
    )


def _words(how, ended, first):
    """How the training ended, and what of it is kept."""
    found, search = ended.found, ended.found.search.search
    yield re.sub("^1 members?: 1 ", "", found.message)
    bad = int(search.bad[first])
    if bad:
        where = f", last{_place(search, first)}" if hasattr(search, "where") else ""
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


def lost(task: Any, ended: Trained) -> str:
    """Where a training ended because its loss was no longer finite, in words; else empty."""
    search, patience = ended.found.search.search, task.learning.patience
    for i in order(task.learning, ended):
        turns, bad = int(search.turns[i]), int(search.bad[i])
        if bad < turns or not (int(search.status[i]) == STUCK or turns >= patience):
            continue
        # Windows are refused for one reason alone; whether a step was, its next one tells.
        if hasattr(search, "where") or _once_more(task.begun, ended.found.search, i) > bad:
            at = _place(search, i) or f" in evaluation {int(search.steps[i])}"
            return f"the loss turned non-finite, last{at}, and stayed so: the best weights before are kept"
    return ""


def _once_more(problem, search, i):
    """How many places of a member were not finite after one evaluation more."""
    from sim.fit import ensemble

    inner, best = search.search, search.best
    inner = inner._replace(status=np.asarray(inner.status).copy())
    best = best._replace(waited=np.asarray(best.waited).copy())
    inner.status[i], best.waited[i] = SEARCHING, 0
    found = ensemble(
        *problem.arguments,
        **problem.settings,
        steps=int(inner.steps[i]) + 1,
        search=search._replace(search=inner, best=best),
    )
    return int(found.search.search.bad[i])


def _place(search, i):
    """Where a training in windows, of which 0 is a pass as a whole, last was not finite."""
    if not hasattr(search, "where"):
        return ""
    step, window = (int(x) for x in search.where[i])
    return f" in pass {step}" + (f", window {window}" if window else "")


def _begin(task, params, sampled):
    """The initial state of a record that was not trained on."""
    from sim.fit.initial import initial_state

    if task.state is None:
        return None
    e = task.experiment(sampled)
    return initial_state(task.objective, params, e, sampled.part.known, task.state)


def _simulated(task, sampled, each):
    """The mean over parameters and initial states, and the standard deviation of several."""
    from sim.fit.initial import predicted

    e = task.experiment(sampled)
    runs = np.stack([np.asarray(predicted(task.objective, p, x0, e), float) for p, x0 in each])
    return runs.mean(axis=0), runs.std(axis=0, ddof=1) if len(runs) > 1 else None


def _physics(task, params, states, table):
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
    columns = {name: getattr(found, name)[at] for name in PARAMETER} | {"standard_error": error}
    return found._replace(
        names=tuple(found.names[i].removeprefix("physics.") for i in at),
        units=tuple(found.units[i] for i in at),
        covariance=found.covariance[np.ix_(at, at)],
        **columns,
    )


def _weights(task, params):
    """How many numbers each part of the network has."""
    import jax
    from jax.tree_util import keystr, tree_flatten_with_path

    net = params.net if task.hybrid else params
    leaves = tree_flatten_with_path(jax.tree.map(np.asarray, net))[0]
    return {keystr(path, simple=True, separator="."): leaf.size for path, leaf in leaves}
