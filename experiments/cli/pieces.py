"""A piece of a run, from its group of the configuration."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from experiments.cli.config import Config
from experiments.cli.instantiate import instantiate
from experiments.cli.targets import resolve


class Pieces(NamedTuple):
    """The groups of a configuration that was stored in a file, as `Config` has them.

    groups: the pieces by group, each a ``_target_`` and its arguments.
    allow: packages of the user's that may be built.
    """

    groups: Mapping[str, Mapping[str, Any]]
    allow: Iterable[str] = ()


def build_piece(
    config: Config | Pieces,
    group: str,
    kinds: tuple[type, ...] = (),
    given: Mapping[str, Any] | None = None,
) -> Any:
    """What the function that a group names returns.

    Args:
        config: the run, or what was stored of one.
        group: the group.
        kinds: types of which the piece must be one; empty is any.
        given: arguments that the program supplies, and the configuration cannot.

    Raises:
        ValueError: the piece is of another type, or a key or a value is wrong.
    """
    settings = config.groups[group]
    factory = resolve(f"{group}._target_", settings["_target_"], config.allow)
    piece = instantiate(factory, settings, group, given)
    if kinds and not isinstance(piece, kinds):
        raise ValueError(
            f"{group}._target_: expected a function that returns "
            f"{kinds[0].__module__}.{kinds[0].__name__}, "
            f"got one that returns {type(piece).__name__}"
        )
    return piece
