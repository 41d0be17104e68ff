"""Findings of a fit or a training: what a reader of its report should know.

A finding is data, by which code decides; ``str(finding)`` is its sentence in the summary, the
report and the file. A plain text is a finding on which nothing depends.
"""

from dataclasses import dataclass

NO_TEST_FILE = "no test was scored: name its file with data.test_path"


@dataclass(frozen=True)
class NotScored:
    """An experiment could not be scored."""

    experiment: str
    reason: str

    def __str__(self):
        return f"{self.experiment} was not scored: {self.reason}"


@dataclass(frozen=True)
class UnitsDiffer:
    """A column and the quantity of the model that it measures have different units."""

    column: str
    column_units: str
    quantity: str
    model: str
    model_units: str

    def __str__(self):
        return (
            f"units: column {self.column!r} is in {self.column_units}, {self.quantity} of "
            f"{self.model} in {self.model_units}; no number was converted"
        )


@dataclass(frozen=True)
class ConstantInput:
    """An input never changes in the records of the search."""

    name: str
    value: float

    def __str__(self):
        return (
            f"the input {self.name} is {self.value:g} throughout: the data cannot tell its "
            "effect from that of an offset"
        )
