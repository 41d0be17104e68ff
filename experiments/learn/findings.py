"""Findings of a training, beside those of `experiments.identification.findings`."""

from typing import NamedTuple


class Place(NamedTuple):
    """A pass of a training in windows, and a window of it; window 0 is the pass as a whole."""

    step: int
    window: int

    def describe(self) -> str:
        return f"pass {self.step}" + (f", window {self.window}" if self.window else "")


class NonFiniteLosses(NamedTuple):
    """The loss was not finite at some places, which the training left.

    Attributes:
        count: of places.
        last: the last of them, in windows; else None.
    """

    count: int
    last: Place | None

    def describe(self) -> str:
        last = "" if self.last is None else f", last in {self.last.describe()}"
        return (
            f"the loss was not finite in {self.count} place{'s' * (self.count > 1)}{last}: they "
            "were left, and the best weights are kept"
        )


class MemberLosses(NamedTuple):
    """The least loss of each member, and whether their mean is scored or the best of them."""

    losses: tuple[float, ...]
    is_mean: bool

    def describe(self) -> str:
        losses = ", ".join(f"{loss:.4g}" for loss in self.losses)
        use = "the best is kept"
        if self.is_mean:
            use = (
                "their mean is scored, with a band from their spread; parameters and losses are "
                "those of the best"
            )
        return f"the least losses of the members are {losses}: {use}"


class NonFiniteTraining(NamedTuple):
    """A training ended because its loss stayed non-finite.

    Attributes:
        last: the last place, in windows; else None.
        evaluation: the number of the last evaluation.
    """

    last: Place | None
    evaluation: int

    def describe(self) -> str:
        last = f"evaluation {self.evaluation}" if self.last is None else self.last.describe()
        return (
            f"the loss turned non-finite, last in {last}, and stayed so: the best weights before "
            "are kept"
        )
