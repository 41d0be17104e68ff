"""A task that finds the rate of a decay by an objective and a solver of the user's."""

import json
from typing import Any, NamedTuple

import jax.numpy as jnp

from experiments.cli.pieces import build_piece
from experiments.runs.interface import RunSummary, TaskEnd
from experiments.runs.precision import precision
from sim.fit import Experiment, fit
from sim.stream import Status


class Prepared(NamedTuple):
    config: Any
    objective: Any
    solver: Any
    name: str = "decay"
    t0: float = 0.0
    dt: float = 1.0
    quantities: Any = {}
    references: Any = {}
    attributes: Any = {}
    data_hash: None = None
    summary: RunSummary = RunSummary(("evaluation", "evaluations"), "of the decay")


def prepare(config):
    pieces = (build_piece(config, group) for group in ("objective", "solver"))
    return Prepared(config, *pieces)


class NoFigure:
    def add(self, first, dataset): ...
    def draw(self, path, title): ...


def figure(prepared):
    return NoFigure()


def run(prepared, directory, *, report, **_):
    with precision(prepared.config):
        y = jnp.exp(-prepared.config.keys.rate * jnp.arange(10.0))
        found = fit(
            prepared.objective,
            {"rate": jnp.asarray(0.1)},
            Experiment(None, y[:, None]),
            solver=prepared.solver,
            steps=50,
        )
    rate = float(found.params["rate"])
    (directory / "rate.json").write_text(json.dumps(rate))
    report(Status("done", len(found.loss) - 1, len(found.loss) - 1, 0, 0.0, 0.0))
    return TaskEnd(True, {"estimate": {"rate": rate}})
