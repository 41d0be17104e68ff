"""The options of a fit, as the group ``fit`` of a configuration sets them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.cli.messages import suggest

LOSSES = ("squares", "huber", "student_t")


class FitOptions(NamedTuple):
    """How to search; see `sim.fit.search.fit`, `multistart`, `shoot` and `staged` of `sim.fit`.

    Attributes:
        parameters: constraints by name: positive, fixed, [lower, upper], "= other", or mean
            and sd; those of the initial states are under "states".
        states: free; fixed, at the model's initial state; or first, estimated once from the
            first samples of each experiment.
        steps: evaluations at most.
        tolerance: the relative fall of the loss that is too small to go on for.
        starts: how many starts, of which the best result is kept.
        width: how far the starts spread.
        segments: how many segments multiple shooting cuts the records into; 1 means none.
        stages: lists of parameters that are set free one list after another; () means none.
        bands: whether the simulations of the training records get a standard deviation.
        profile: parameters that also get an interval by the profile likelihood.
        loss: squares; or huber or student_t, which limit the effect of gross errors.
    """

    parameters: Mapping[str, Any]
    states: str
    steps: int
    tolerance: float
    starts: int
    width: float
    segments: int
    bands: bool
    stages: tuple[tuple[str, ...], ...] = ()
    profile: tuple[str, ...] = ()
    loss: str = "squares"

    @property
    def without_checkpoint(self) -> str:
        """The key by which the search saves no state, or an empty text."""
        keys = {"starts": self.starts > 1, "segments": self.segments > 1, "stages": self.stages}
        return next((key for key, is_set in keys.items() if is_set), "")


def fit_options(
    parameters: Mapping[str, Any] | None = None,
    states: str = "free",
    steps: int = 100,
    tolerance: float = 1e-9,
    starts: int = 1,
    width: float = 1.0,
    segments: int = 1,
    bands: bool = True,
    stages: tuple[tuple[str, ...], ...] = (),
    profile: tuple[str, ...] = (),
    loss: str = "squares",
) -> FitOptions:
    """Check the options of a fit, see `FitOptions`.

    Raises:
        ValueError: a number is too small, a word is unknown, or two ways to search are chosen.
    """
    if states not in ("free", "fixed", "first"):
        raise ValueError(
            f"states: expected one of free, fixed, first, got {states!r}; "
            f"{suggest(states, ('free', 'fixed', 'first'))}"
        )
    if loss not in LOSSES:
        raise ValueError(
            f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}; {suggest(loss, LOSSES)}"
        )
    for name, value in (("steps", steps), ("starts", starts), ("segments", segments)):
        if value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {value}")
    if tolerance < 0:
        raise ValueError(f"tolerance: expected a number of at least 0, got {tolerance:g}")
    if not width > 0:
        raise ValueError(f"width: expected a number above 0, got {width:g}")
    if starts > 1 and segments > 1:
        raise ValueError(
            "segments: expected 1 where starts is more than 1: one way to search at once"
        )
    if stages and max(starts, segments) > 1:
        name = "starts" if starts > 1 else "segments"
        raise ValueError(
            f"stages: expected [] where {name} is more than 1: one way to search at once"
        )
    if states != "free" and max(starts, segments) > 1:
        name = "starts" if starts > 1 else "segments"
        raise ValueError(f"states: expected free where {name} is more than 1, got {states}")
    return FitOptions(
        dict(parameters or {}),
        states,
        steps,
        tolerance,
        starts,
        width,
        segments,
        bands,
        stages,
        profile,
        loss,
    )
