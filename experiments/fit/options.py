"""Options of a fit, as the group fit of a configuration states them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.cli.messages import suggest

LOSSES = ("squares", "huber", "student_t")


class FitOptions(NamedTuple):
    """How to search: see `sim.fit.search.fit`, `sim.fit.search.multistart` and `sim.fit.search.multiple_shooting`.

    Attributes:
        parameters: kinds by name: positive, fixed, [lower, upper], "= other", or mean and sd;
            under "states" those of the initial states.
        states: free; fixed, as the model's initial state; or first, from the first samples
            of each experiment.
        steps, tolerance: evaluations at most, and the fall of the loss not to go on for.
        starts, width: of how many the best is taken, and how far they spread.
        segments: of multiple shooting; 1 is none.
        stages: names of parameters that are set free one list after another; () is none.
        bands: whether the simulations of the training records get their standard deviation.
        profile: parameters that get an interval by the profile likelihood too.
        loss: squares; or huber or student_t, of which a few gross errors are no large part.
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
    def several(self) -> str:
        """The key that makes this a search of several, which keeps no checkpoint; or empty."""
        found = {"starts": self.starts > 1, "segments": self.segments > 1, "stages": self.stages}
        return next((name for name, more in found.items() if more), "")


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
    """A `FitOptions`.

    Raises:
        ValueError: a number is too small, or two ways to search are named at once.
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
