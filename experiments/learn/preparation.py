"""Networks at their start, alone or in the vector field of a model, with their records."""

from functools import partial
from typing import Any

import numpy as np

from experiments.cli.config import Config
from experiments.cli.pieces import build_piece
from experiments.identification.data import Data
from experiments.identification.experiments import (
    Records,
    build_records,
    continuous_experiment,
    discrete_experiment,
)
from experiments.identification.findings import Message
from experiments.identification.objective import FitSetup, fit_setup
from experiments.identification.search import PreparedSearch
from experiments.learn.networks import Correction, Network
from experiments.learn.training import TrainingOptions, prepare_training, split_records


def prepare_network(
    config: Config, data: Data, dt: float, network: Network, options: TrainingOptions
) -> tuple[Records, FitSetup, PreparedSearch]:
    """Prepare the members of a network that knows no physics.

    Raises:
        ValueError: the network and the records do not suit each other.
    """
    from sim import rnn
    from sim.fit import Simulation

    if not data.inputs:
        raise ValueError("data.input: expected at least one column for a network, got none")
    records = build_records(data, dt, discrete_experiment)
    experiments = [record.experiment for record in records.training]
    scaling = rnn.scaling(experiments)
    scaled = [
        (
            (e.xs - scaling.u_mean[None]) / scaling.u_scale[None],
            (e.y - scaling.y_mean[None]) / scaling.y_scale[None],
        )
        for e in experiments
    ]
    sizes = len(data.inputs), len(data.outputs)
    starts = [network.start(key, *sizes, scaled) for key in _member_keys(config, options)]
    state = network.stepper(starts[0]).init() if options.states == "free" else None
    _check_state_samples(data, state)
    units = {name: data.column_units.get(name, "1") for name in (*data.inputs, *data.outputs)}
    setup = FitSetup(
        Simulation(lambda params: rnn.scaled(network.stepper(params), scaling)),
        starts[0],
        state,
        units,
        {},
        tuple(map(Message, network.warnings(scaled))),
        scaling,
    )
    search = prepare_training(
        options,
        setup.objective,
        starts,
        network.kinds,
        split_records(options, experiments),
        state,
        [_without_first(record) for record in records.validation],
        config.seed,
    )
    return records, setup, search


def prepare_hybrid(
    config: Config, data: Data, dt: float, network: Correction, options: TrainingOptions
) -> tuple[Records, FitSetup, PreparedSearch, str]:
    """Prepare the members of a network in the vector field of a model.

    Returns:
        The records, the objective, the search, and the name of the model.

    Raises:
        ValueError: the model, the network and the records do not suit each other.
    """
    import jax
    import jax.numpy as jnp

    from experiments.learn import hybrid
    from sim.fit import initial_state
    from sim.fit.parameters.layout import parameter_layout

    model = build_piece(config, "model")
    physics = fit_setup(config, model, data, dt)
    parameter_layout(physics.start, network.parameters)  # mistakes are named as the model does
    to_experiment = partial(continuous_experiment, data.hold, dt, config.substeps)
    records = build_records(data, dt, to_experiment)
    experiments = [record.experiment for record in records.training]
    pieces, record_index = split_records(options, experiments)

    def start_state(experiment, known):
        if options.states == "fixed":
            return physics.state
        known = min(known, len(experiment.y))
        return initial_state(physics.objective, physics.start, experiment, known, physics.state)

    states = [
        start_state(piece, records.training[i].known)
        for piece, i in zip(pieces, record_index, strict=True)
    ]
    first_states = [states[record_index.index(i)] for i in range(len(experiments))]
    states += [start_state(record.experiment, record.known) for record in records.validation]
    scaling = hybrid.scaling_from_runs(
        model,
        physics.objective,
        physics.start,
        first_states,
        experiments,
        [record.u for record in records.training],
    )
    members = [
        hybrid.add_network(model, hybrid.zero_network(key, scaling, network.hidden), scaling)
        for key in _member_keys(config, options)
    ]
    dtype = jnp.result_type(float)
    starts = [
        jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), member.field.args[0])
        for member in members
    ]
    setup = physics._replace(
        objective=fit_setup(config, members[0], data, dt).objective,
        start=starts[0],
        parameter_units=_prefix_physics(physics.parameter_units),
        scaling=scaling,
    )
    search = prepare_training(
        options,
        setup.objective,
        starts,
        network.kinds | _prefix_kinds(network.parameters),
        (pieces, record_index),
        states,
        [_without_first(record) for record in records.validation],
        config.seed,
    )
    return records, setup, search, model.name


def _prefix_kinds(parameters):
    """Constraints of the model's parameters, with the names they have in a hybrid."""
    return {
        f"physics.{name}": f"= physics.{kind[1:].strip()}" if str(kind)[:1] == "=" else kind
        for name, kind in parameters.items()
    }


def _prefix_physics(units):
    """Units of the model's parameters, by the names they have in a hybrid."""
    return {
        name if name.startswith("states.") else f"physics.{name}": unit
        for name, unit in units.items()
    }


def _member_keys(config, options) -> list[Any]:
    """A random key for each member."""
    import jax

    key = jax.random.key(config.seed)
    return [jax.random.fold_in(key, i) for i in range(options.members)]


def _without_first(record):
    """The experiment of a record, whose first ``known`` samples do not count."""
    import jax.numpy as jnp

    experiment = record.experiment
    ahead = record.known - (experiment.y0 is not None)
    y = jnp.where((np.arange(len(experiment.y)) < ahead)[:, None], jnp.nan, experiment.y)
    return experiment._replace(y=y, y0=None)


def _check_state_samples(data, state):
    """Raise ValueError unless the known samples of each test can tell a network's state."""
    import jax

    size = sum(leaf.size for leaf in jax.tree.leaves(state))
    for record in (*data.validation, *data.tests):
        part = record.part
        if part.known * len(data.outputs) < size:
            raise ValueError(
                f"learn.states: expected fixed, as the {part.known} known samples of "
                f"{part.name} cannot tell the {size} numbers of a state, got free"
            )
