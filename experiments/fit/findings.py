"""Findings of a fit, beside those of `experiments.identification.findings`."""

from typing import NamedTuple


class ColouredResidual(NamedTuple):
    """The residual is not white.

    Attributes:
        widening: how many times as wide the intervals are with the memory of the residual;
            None where they could not be computed.
    """

    widening: float | None

    def describe(self) -> str:
        if self.widening is None:
            return (
                "the residual is not white: the intervals, which assume that it is, are too narrow"
            )
        return (
            "the residual is not white: the intervals include the effect of its memory and are "
            f"{self.widening:.1f} times as wide as without it; they do not include the bias of a "
            "wrong model"
        )


class ProfilesTooNarrow(NamedTuple):
    """The residual is not white, but intervals by the profile likelihood assume that it is."""

    def describe(self) -> str:
        return (
            "the intervals by profile take the residual as white, although it is not, and are "
            "too narrow"
        )


class NoProfile(NamedTuple):
    """The profile likelihood of a parameter has no interval."""

    parameter: str
    reason: str

    def describe(self) -> str:
        return f"{self.parameter} has no profile: {self.reason}"


class NonFiniteFit(NamedTuple):
    """A fit ended because its loss was not finite wherever it could go on."""

    evaluation: int

    def describe(self) -> str:
        return (
            "the loss turned non-finite wherever the search would go on, after evaluation "
            f"{self.evaluation}: the last good parameters are kept"
        )
