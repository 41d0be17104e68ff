"""Findings of a fit or a training: what a reader of its report should know.

A finding is data, by which code decides; `Finding.describe` words it where it is printed.
"""

from typing import NamedTuple, Protocol


class Finding(Protocol):
    """Something that a reader of a report should know."""

    def describe(self) -> str:
        """The finding in one sentence."""


class Message(NamedTuple):
    """A finding that is known as a text only, such as the message of a fit."""

    text: str

    def describe(self) -> str:
        return self.text


class NoTestFile(NamedTuple):
    """A test names neither a file nor rows, so that it would be the training record again."""

    def describe(self) -> str:
        return "no test was scored: name its file with data.test_path"


class NotScored(NamedTuple):
    """An experiment could not be scored."""

    experiment: str
    reason: str

    def describe(self) -> str:
        return f"{self.experiment} was not scored: {self.reason}"


class UnitsDiffer(NamedTuple):
    """A column and the quantity of the model that it measures have different units."""

    column: str
    column_units: str
    quantity: str
    model: str
    model_units: str

    def describe(self) -> str:
        return (
            f"units: column {self.column!r} is in {self.column_units}, {self.quantity} of "
            f"{self.model} in {self.model_units}; no number was converted"
        )


class ConstantInput(NamedTuple):
    """An input never changes in the records of the search."""

    name: str
    value: float

    def describe(self) -> str:
        return (
            f"the input {self.name} is {self.value:g} throughout: the data cannot tell its "
            "effect from that of an offset"
        )
