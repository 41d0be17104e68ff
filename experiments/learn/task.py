"""The task `learn`: a network trained on records, alone or beside physics, and how well it does."""

import re
import time as clock
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.cli.config import Config
from experiments.cli.pieces import build_piece
from experiments.fit import task
from experiments.fit.task import TracePlot
from experiments.identification.checks import check_precision, common_interval
from experiments.identification.data import Data, SampledRecord
from experiments.runs.interface import RunSummary, TaskEnd
from experiments.runs.precision import precision


class Prepared(NamedTuple):
    """All that a training needs, checked: what is wrong is said before a directory is claimed.

    Attributes:
        learning: how to train.
        objective: a `sim.fit.Simulation` in the units of the records.
        start: parameters of the first member.
        state: of what tests are searched from; None where they begin at rest.
        scaling: `sim.rnn.Scaling`, or `StateScaling` of a hybrid.
        begun: the members at their start.
        of: of each piece that is trained on, which record it is from.
    """

    config: Config
    name: str
    title: str
    data: Data
    learning: Any
    objective: Any
    start: Any
    state: Any
    scaling: Any
    begun: Any
    of: tuple[int, ...]
    seconds: float
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    units: Mapping[str, str]
    parameter_units: Mapping[str, str]
    said: tuple[str, ...]
    t0: float
    dt: float
    quantities: Mapping[str, tuple[str, str]]
    measured: Mapping[str, str]
    length: int

    time = task.Prepared.time
    attributes = task.Prepared.attributes
    data_hash = task.Prepared.data_hash

    @property
    def summary(self) -> RunSummary:
        """The run in words."""
        passes = self.learning.window  # a step of which is a pass over the records
        return RunSummary(
            unit=("pass", "passes") if passes else ("evaluation", "evaluations"),
            details=f"of a training, {self.config.runtime.precision}",
            separate_compile=False,
        )

    @property
    def hybrid(self) -> bool:
        return "model" in self.config.groups

    def experiment(self, sampled: SampledRecord) -> Any:
        """A record as a rollout takes it."""
        if self.hybrid:
            return task.Prepared.experiment(self, sampled)
        from sim.fit import Experiment

        return Experiment(*_to_arrays(sampled))


def _to_arrays(sampled):
    import jax.numpy as jnp

    return (jnp.asarray(x, jnp.result_type(float)) for x in (sampled.u, sampled.y))


def prepare(config: Config) -> Prepared:
    """Read the records, make the networks, and make the first evaluation of each.

    Raises:
        ValueError: a key, a value, a name or a size is wrong, or the model diverges.
        OSError: the record cannot be read.
    """
    from experiments.learn.networks import Correction, Network
    from experiments.learn.training import TrainingOptions, reword_error

    data = build_piece(config, "data", (Data,))
    how = build_piece(config, "learn", (TrainingOptions,))
    dt = common_interval(data, config.dt)
    check_precision(data, config.runtime.precision)
    for sampled in data.training:
        if how.states == "fixed" and len(sampled.y) <= how.warmup:
            raise ValueError(
                f"learn.warmup: expected fewer than the {len(sampled.y)} samples of "
                f"{sampled.part.name}, got {how.warmup}"
            )
    for sampled in data.validation:
        if len(sampled.y) <= sampled.part.known:
            raise ValueError(
                f"data.validation: {sampled.part.name}: expected known samples fewer than "
                f"its {len(sampled.y)}, got {sampled.part.known}"
            )
    first, units = (
        data.training[0],
        {c: data.column_units.get(c, "1") for c in (*data.inputs, *data.outputs)},
    )
    with precision(config):
        tic, network = clock.perf_counter(), build_piece(config, "network", (Network, Correction))
        prepared = Prepared(
            config,
            network.name if isinstance(network, Network) else "hybrid",
            config.title or "",
            data,
            how,
            None,
            None,
            None,
            None,
            None,
            (),
            0.0,
            data.inputs,
            data.outputs,
            units,
            {},
            (),
            0.0 if first.time is None else float(first.time[0]),
            dt,
            {},
            {},
            sum(len(s.y) for s in data.training),
        )
        try:
            prepared = (_prepare_hybrid if prepared.hybrid else _prepare_network)(prepared, network)
        except ValueError as error:
            raise ValueError(_name_column(reword_error(error), data)) from None
        return prepared._replace(
            title=prepared.title or f"{prepared.name[:1].upper()}{prepared.name[1:]}, trained",
            seconds=clock.perf_counter() - tic,
            quantities={name: (prepared.units[name], name) for name in data.outputs},
        )


def _name_column(message, data):
    """Words about a column with its name, where they have its number."""
    found = re.match(r"data\.(input|output): .*(column (\d+) constant at 0)", message)
    if not found:
        return message
    name = getattr(data, f"{found[1]}s")[int(found[3])]
    return message.replace(found[2], f"column {name!r} constant")


def _prepare_network(prepared, network):
    """With the members of a network that knows no physics."""
    from experiments.learn.training import prepare_training, split_records
    from sim import rnn
    from sim.fit import Simulation

    data, how = prepared.data, prepared.learning
    if not data.inputs:
        raise ValueError("data.input: expected at least one column for a network, got none")
    experiments = [prepared.experiment(s) for s in data.training]
    by = rnn.scaling(experiments)
    records = [
        ((e.xs - by.u_mean[None]) / by.u_scale[None], (e.y - by.y_mean[None]) / by.y_scale[None])
        for e in experiments
    ]
    keys = _member_keys(prepared)
    starts = [network.start(key, len(data.inputs), len(data.outputs), records) for key in keys]
    objective = Simulation(lambda p: rnn.scaled(network.stepper(p), by))
    state = network.stepper(starts[0]).init() if how.states == "free" else None
    _check_state_samples(prepared, state)
    parts, of = split_records(how, experiments)
    held = [_without_first(prepared.experiment(s), s.part.known) for s in data.validation]
    problem = prepare_training(
        how, objective, starts, network.kinds, parts, state, held, prepared.config.seed
    )
    return prepared._replace(
        objective=objective,
        start=starts[0],
        state=state,
        scaling=by,
        begun=problem,
        of=tuple(of),
        said=tuple(network.told(records)),
    )


def _prepare_hybrid(prepared, network):
    """With the members of a network in the vector field of a model."""
    import jax
    import jax.numpy as jnp

    from experiments.identification.objective import fit_setup
    from experiments.learn import hybrid
    from experiments.learn.training import prepare_training, split_records
    from sim.fit import initial_state
    from sim.fit.parameters.vector import parameter_layout

    config, data, how = prepared.config, prepared.data, prepared.learning
    model = build_piece(config, "model")
    alone = fit_setup(config, model, data, prepared.dt)
    parameter_layout(alone.start, network.parameters)  # in the model's own names
    experiments = [prepared.experiment(s) for s in data.training]
    parts, of = split_records(how, experiments)
    held = [prepared.experiment(s) for s in data.validation]

    def begins(e, known):
        if how.states == "fixed":
            return alone.state
        return initial_state(alone.objective, alone.start, e, min(known, len(e.y)), alone.state)

    known = [s.part.known for s in (*data.training, *data.validation)]
    states = [begins(e, known[i]) for e, i in zip(parts, of, strict=True)]
    states += [begins(e, n) for e, n in zip(held, known[len(data.training) :], strict=True)]
    whole = [states[of.index(i)] for i in range(len(experiments))]
    us = [s.u for s in data.training]
    by = hybrid.scaling_from_runs(model, alone.objective, alone.start, whole, experiments, us)
    models = [
        hybrid.add_network(model, hybrid.zero_network(key, by, network.hidden), by)
        for key in _member_keys(prepared)
    ]
    both = fit_setup(config, models[0], data, prepared.dt)
    kinds = network.kinds | {
        f"physics.{name}": f"= physics.{kind[1:].strip()}" if str(kind)[:1] == "=" else kind
        for name, kind in network.parameters.items()
    }
    held = [_without_first(e, s.part.known) for e, s in zip(held, data.validation, strict=True)]
    units = {
        name if name.startswith("states.") else f"physics.{name}": unit
        for name, unit in alone.parameter_units.items()
    }
    starts = [
        jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), one.field.args[0])
        for one in models
    ]
    problem = prepare_training(how, both.objective, starts, kinds, parts, states, held, config.seed)
    return prepared._replace(
        name=f"{model.name.replace('_', ' ')} with a network",
        objective=both.objective,
        start=starts[0],
        state=alone.state,
        scaling=by,
        begun=problem,
        of=tuple(of),
        units=alone.units,
        parameter_units=units,
        said=alone.said,
    )


def _member_keys(prepared):
    """One for each member."""
    import jax

    return [
        jax.random.fold_in(jax.random.key(prepared.config.seed), i)
        for i in range(prepared.learning.members)
    ]


def _without_first(e, known):
    """The experiment whose first samples do not count."""
    import jax.numpy as jnp

    ahead = known - (e.y0 is not None)
    y = jnp.where((np.arange(len(e.y)) < ahead)[:, None], jnp.nan, e.y)
    return e._replace(y=y, y0=None)


def _check_state_samples(prepared, state):
    """Raise where the first samples of a test cannot tell the state of a network."""
    import jax

    size = sum(leaf.size for leaf in jax.tree.leaves(state))
    for sampled in (*prepared.data.validation, *prepared.data.tests):
        if sampled.part.known * len(prepared.outputs) < size:
            raise ValueError(
                f"learn.states: expected fixed, as the {sampled.part.known} known samples of "
                f"{sampled.part.name} cannot tell the {size} numbers of a state, got free"
            )


def figure(prepared: Prepared) -> TracePlot:
    """What gathers the figure."""
    return TracePlot()


def run(
    prepared: Prepared,
    directory: Path,
    *,
    attributes: Mapping[str, Any],
    resume: bool,
    stop: Callable,
    watch: Callable,
    report: Callable,
    **_: Any,
) -> TaskEnd:
    """Train, and write ``network.nc``, ``learn.nc`` and ``report.html`` into ``directory``."""
    from experiments.identification import tables
    from experiments.identification.report import write_report as page
    from experiments.identification.result_file import write_fit
    from experiments.learn import evaluation, saved, training
    from experiments.learn.progress import show_progress
    from sim.stream import Status

    how = prepared.learning
    with precision(prepared.config):
        tic = clock.perf_counter()
        with show_progress(how.steps) as tell:
            ended = training.train(
                how, prepared.begun, directory / "checkpoints", resume, stop, tell
            )
        seconds = {"compile": prepared.seconds, "training": clock.perf_counter() - tic}
        count = len(ended.losses) - 1
        report(Status("done", count, count, 0, prepared.seconds, seconds["training"]))
        if stop():
            return TaskEnd(False)
        done = evaluation.evaluate(prepared, ended, seconds)
        saved.save_network(directory / "network.nc", prepared, evaluation.best_members(how, ended))
    write_fit(directory / "learn.nc", done, attributes)
    page(directory / "report.html", done, attributes["config"])
    watch(0, done)
    scores = {f"rmse {t.name}": dict(t.scores["rmse"]) for t in done.traces}
    figure = f"learn.{prepared.config.output.figure}"
    files = {"network": "network.nc", "file": "learn.nc", "report": "report.html", "figure": figure}
    files = {name: directory / path for name, path in files.items()}
    return TaskEnd(
        True,
        scores,
        evaluation.non_finite_message(prepared, ended),
        lambda: tables.print_fit(done, files),
    )
