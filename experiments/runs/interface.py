"""What a task gives to the life cycle of a run, and what it gets from it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from experiments.cli.config import Config


class RunSummary(NamedTuple):
    """The words of a task in the summary that a run prints.

    Attributes:
        unit: of what progress is counted, one and many: ``("step", "steps")``.
        details: what follows their count: ``"of 0.01 s, rk4"``.
        rows: further rows, each a name and a text.
        separate_compile: whether the time to compile was measured apart from the run.
    """

    unit: tuple[str, str] = ("step", "steps")
    details: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    separate_compile: bool = True


class TaskEnd(NamedTuple):
    """The end of a run.

    Attributes:
        finished: whether it came to its end; False after a stop, from which it can go on.
        scores: values of each metric by quantity, for ``metrics.csv``.
        message: why it ended early with all its files written, a loss that is not finite;
            empty else.
        show: prints the task's own summary; None is the summary of `experiments.runs`.
    """

    finished: bool
    scores: Mapping[str, Mapping[str, float]] = {}
    message: str = ""
    show: Callable[[], None] | None = None


class Prepared(Protocol):
    """All that a run needs, checked: a mistake is named before a directory is claimed.

    A task adds what its own `TaskModule.run` needs.

    Attributes:
        name: of what is run; the title, where the configuration has none.
        t0, dt: time of the first row and between two rows, s; dt is None if it varies.
        quantities: units and description of everything that is scored.
        references: for a quantity, the name in the file of what it is scored against.
        attributes: global attributes of the files: the pieces by name.
        data_hash: of the records, by which a resumed run knows them again; None if they are
            not compared.
        summary: the task's words in the summary.
    """

    name: str
    t0: float
    dt: float | None
    quantities: Mapping[str, tuple[str, str]]
    references: Mapping[str, str]
    attributes: Mapping[str, str | None]
    data_hash: str | None
    summary: RunSummary


class Figure(Protocol):
    """Gathers what a figure needs while the run goes on, and draws it at its end."""

    def add(self, first: int, dataset: Any) -> None:
        """See what was written, from row ``first`` on."""

    def draw(self, path: Path, title: str) -> None:
        """Write the figure, in the format of the suffix."""


@runtime_checkable
class TaskModule(Protocol):
    """The module ``task`` in the package of a task."""

    def prepare(self, config: Config) -> Prepared:
        """Build the pieces and check them against each other.

        Raises:
            ValueError: a key, a value, a name or a size is wrong.
            OSError: a record cannot be read.
        """

    def figure(self, prepared: Prepared) -> Figure:
        """What gathers the figure."""

    def run(
        self,
        prepared: Prepared,
        directory: Path,
        *,
        attributes: Mapping[str, Any],
        identity: str,
        resume: bool,
        stop: Callable[[], bool],
        watch: Callable[[int, Any], None],
        report: Callable[[Any], None],
    ) -> TaskEnd:
        """Run, and write the files into ``directory``.

        Args:
            prepared: what `prepare` returned.
            directory: the run's own.
            attributes: global attributes of the files.
            identity: the hash of the configuration, kept in checkpoints.
            resume: go on from the checkpoint.
            stop: asked from time to time whether to stop.
            watch: ``watch(first, dataset)`` is shown everything that is written.
            report: is given every `sim.stream.Status`; at least one.

        Raises:
            sim.stream.Diverged: the run left the finite numbers.
        """
