"""From trained members to what is kept of them: traces, scores, and words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.fitted import PARAMETER, Fitted
from experiments.learn_search import Trained, in_words
from experiments.outcome import beside, fitted, remarks, residual_tests, trace


def kept(how: Any, ended: Sequence[Trained]) -> list[Trained]:
    """The members that count, the best first."""
    order = sorted(ended, key=lambda one: one.score)
    return order if how.combine == "mean" else order[:1]


def concluded(task: Any, ended: Sequence[Trained], seconds: Mapping[str, float]) -> Fitted:
    """Everything that is kept; the tests are opened here, once, and nothing is chosen by them.

    A record that cannot be scored is a finding: the training is not lost with it.
    """
    data, how = task.data, task.learning
    members = kept(how, ended)
    best = members[0].found
    traces, tests, said = [], [], [best.message, *_members(how, ended)]
    skip = how.warmup if how.states == "fixed" else 0
    for i, sampled in enumerate(data.training):
        place = task.of.index(i)
        simulated, sd = _simulated(task, sampled, [(m.found.params, m.found.states[place]) for m in members])
        traces.append(trace(task, sampled, simulated, skip, sd))
    for sampled in (*data.validation, *data.tests):
        part, test = sampled.part, sampled.y.shape[1] == 0
        try:
            sampled = data.opened(sampled) if test else sampled
            simulated, sd = _simulated(task, sampled, [(m.found.params, _begin(task, m, sampled)) for m in members])
            traces.append(trace(task, sampled, simulated, part.known, sd))
            tests += [traces[-1]] if test else []
        except (OSError, ValueError) as error:
            said.append(f"{part.name} was not scored: {in_words(error)}")
    checks = residual_tests(traces[0], skip)
    rows, said = beside(data, tests), [*said, *remarks(task)]
    if task.hybrid:
        found = _physics(fitted(task, best, traces, checks, said, seconds, rows), best.uncertainty)
    else:
        none = np.zeros(0)
        found = Fitted(task.title, tuple(traces), (), (), *[none] * len(PARAMETER), np.zeros((0, 0)),
                       none, dict(checks), tuple(said), rows, dict(seconds))  # fmt: skip
    losses = members[0].losses
    seen = losses[:, 1] if np.isfinite(losses[0, 1]) else np.zeros(0)
    return found._replace(loss=losses[:, 0], validation=seen, weights=_weights(task, best.params))


def _members(how, ended):
    if len(ended) > 1:
        scores = ", ".join(f"{one.score:.3g}" for one in ended)
        words = "their mean is scored, its band is of their spread" if how.combine == "mean" else "the best is kept"
        yield f"{len(ended)} members, trained one after another, with the least losses {scores}: {words}"


def _begin(task, member, sampled):
    """The initial state of a record that was not trained on."""
    from sim.fit.initial import initial_state

    if task.state is None:
        return None
    e = task.experiment(sampled)
    return initial_state(task.objective, member.found.params, e, sampled.part.known, task.state)


def _simulated(task, sampled, each):
    """The mean over parameters and initial states, and the standard deviation of several."""
    from sim.fit.initial import predicted

    e = task.experiment(sampled)
    runs = np.stack([np.asarray(predicted(task.objective, p, x0, e), float) for p, x0 in each])
    return runs.mean(axis=0), runs.std(axis=0, ddof=1) if len(runs) > 1 else None


def _physics(found, known):
    """Of all parameters those of the model, under their own names."""
    at = [i for i, name in enumerate(found.names) if not name.startswith("net.")]
    error = found.standard_error[at]
    if known.covariance is None:  # it was not asked for
        error = np.where([found.names[i] in known.names for i in at], np.inf, error)
    columns = {name: getattr(found, name)[at] for name in PARAMETER} | {"standard_error": error}
    return found._replace(
        names=tuple(found.names[i].removeprefix("physics.") for i in at),
        units=tuple(found.units[i] for i in at), covariance=found.covariance[np.ix_(at, at)], **columns,
    )  # fmt: skip


def _weights(task, params):
    """How many numbers each part of the network has."""
    import jax
    from jax.tree_util import keystr, tree_flatten_with_path

    net = params.net if task.hybrid else params
    leaves = tree_flatten_with_path(jax.tree.map(np.asarray, net))[0]
    return {keystr(path, simple=True, separator="."): leaf.size for path, leaf in leaves}
