"""What the tasks `fit` and `learn` prepare: a search that is checked and ready to run."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.cli.config import Config
from experiments.identification.data import Data, data_hash
from experiments.identification.experiments import Records
from experiments.identification.objective import FitSetup
from experiments.identification.search import PreparedSearch
from experiments.runs.interface import RunSummary


class Prepared(NamedTuple):
    """A search that is ready to run; every mistake is found before a directory is claimed.

    Attributes:
        config: the run.
        name: of the model or the network.
        title: of the run.
        options: how to search, `FitOptions` or `TrainingOptions`.
        records: what to fit, and what to score.
        setup: the model or the network as an objective.
        search: the first evaluation, and how to go on.
        summary: the words of the task in the summary.
    """

    config: Config
    name: str
    title: str
    options: Any
    records: Records
    setup: FitSetup
    search: PreparedSearch
    summary: RunSummary

    @property
    def data(self) -> Data:
        return self.records.data

    @property
    def t0(self) -> float:
        """The time of the first sample, s."""
        return float(self.records.training[0].time[0])

    @property
    def dt(self) -> float:
        """The sample interval, s."""
        return self.records.dt

    @property
    def quantities(self) -> Mapping[str, tuple[str, str]]:
        """Units and long name of each output."""
        return {name: (self.setup.units[name], name) for name in self.data.outputs}

    @property
    def references(self) -> Mapping[str, str]:
        """Nothing: the scores come from the task itself."""
        return {}

    @property
    def attributes(self) -> Mapping[str, str | None]:
        """Global attributes of the files."""
        return {"model": self.name, "integrator": self.config.target("integrator")}

    @property
    def data_hash(self) -> str:
        """The hash of the records."""
        return data_hash(self.data)
