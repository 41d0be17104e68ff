"""States on a manifold: the functions retract and local of smoothers."""

from collections.abc import Callable
from typing import Any

from sim.step import as_pytree


def both_or_none(name: str, retract: Callable | None, local: Callable | None) -> tuple:
    """The pair as pytrees; ValueError unless both or neither are given.

    >>> both_or_none("rts", None, None)
    (None, None)
    """
    if (retract is None) != (local is None):
        raise ValueError(f"{name}: expected retract and local together, got one without the other")
    return tuple(g if g is None else as_pytree(g) for g in (retract, local))


def check_retract(name: str, m: Any, P: Any, retract: Callable | None) -> None:
    """Raise ValueError unless a state on a manifold comes with its retract.

    The mean of such a state is longer than its covariance is wide.
    """
    if retract is None and m.shape[0] != P.shape[0]:
        raise ValueError(
            f"{name}: expected retract and local for a state on a manifold, got none: "
            f"m {m.shape}, P {P.shape}"
        )
